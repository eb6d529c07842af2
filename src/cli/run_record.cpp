#include "cli/run_record.h"

#include <fmt/chrono.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/machine.h"
#include "cli/command.h"
#include "data/digest.h"
#include "nibble/isa.h"
#include "nibble/version.h"
#include "onnx/model_size.h"

namespace nibble::cli {
namespace {

std::string_view split_name(Split split) {
  if (split == Split::train) return "train";
  return split == Split::validation ? "validation" : "test";
}

void add_once(Json& list, Json entry) {
  if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(std::move(entry));
}

}  // namespace

RunRecord& run_record() {
  static RunRecord record;
  return record;
}

void RunRecord::set_command(int argc, const char* const* argv) {
  command_ = Json::array({"nibble"});
  for (int i = 1; i < argc; ++i) command_.push_back(argv[i]);
}

void RunRecord::check_folder() const {
  if (folder_.empty()) return;
  make_folder(folder_);
  check_writable(std::filesystem::path(folder_) / "01-step.json");
}

void RunRecord::note_model(std::string_view role, const std::string& path) {
  if (!wanted()) return;
  Json entry = {{"role", role}, {"file", path}};
  // A pipe was read once and cannot be read again.
  if (size_of_file(path)) {
    entry["bytes"] = size_of_model(path).value_or(0);
    entry["sha256"] = Sha256().add(read_file(path)).hex();
  }
  add_once(models_, std::move(entry));
}

void RunRecord::note_data(const std::string& spec, Split split, const Dataset& data) {
  if (!wanted()) return;
  add_once(data_, {{"data", spec},
                   {"split", split_name(split)},
                   {"description", data.describe()},
                   {"samples", data.size()},
                   {"digest", digest_of(data)}});
}

void RunRecord::begin_step() {
  models_ = Json::array();
  data_ = Json::array();
  started_ = std::chrono::system_clock::now();
  clock_ = std::chrono::steady_clock::now();
}

void RunRecord::add(std::string_view verb, const Json& result, const CommonOptions& common) {
  if (!wanted()) return;
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - clock_;
  const auto started = std::chrono::system_clock::to_time_t(started_);
  Json provenance = {{"nibble", version()},
                     {"command", command_},
                     {"folder", std::filesystem::current_path().string()},
                     {"seed", common.seed},
                     {"threads", common.threads == 0 ? cores() : common.threads},
                     {"cpu", cpu_name()},
                     {"cores", cores()},
                     {"isa", name_of(best_isa())},
                     {"started", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(started))},
                     {"seconds", taken.count()},
                     {"models", models_},
                     {"data", data_}};
  // Read back, so that what the process keeps is what the file would have said.
  const std::string text = result.dump(-1, ' ', false, Json::error_handler_t::replace);
  steps_.push_back({std::string(verb), std::move(provenance), Json::parse(text), {}});
  if (!folder_.empty()) steps_.back().file = write_step(folder_, steps_.back()).string();
}

void present(std::string_view verb, const Json& result, const CommonOptions& common,
             const std::function<void()>& text) {
  run_record().add(verb, result, common);
  if (common.json) {
    print_json(result);
  } else {
    text();
  }
}

}  // namespace nibble::cli
