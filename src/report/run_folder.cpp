#include "report/run_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/check.h"
#include "base/file.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

// "07-eval.json": 7; nullopt for files that are no steps.
std::optional<int> number_of_step(const std::string& name) {
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || number < 1) return std::nullopt;
  const std::string_view rest(end, static_cast<size_t>(name.data() + name.size() - end));
  if (rest.size() < 7 || rest.front() != '-' || !rest.ends_with(".json")) return std::nullopt;
  const std::string_view verb = rest.substr(1, rest.size() - 6);
  const bool plain = std::ranges::all_of(verb, [](char c) { return c >= 'a' && c <= 'z'; });
  return plain ? std::optional(number) : std::nullopt;
}

// The files of steps, by number and name.
std::map<std::pair<int, std::string>, std::filesystem::path> step_files(
    const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error)
    fail(ErrorCode::io, "cannot read the run folder '{}': {}", folder.string(), error.message());
  std::map<std::pair<int, std::string>, std::filesystem::path> files;
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string name = entries->path().filename().string();
    if (const auto number = number_of_step(name)) files[{*number, name}] = entries->path();
  }
  return files;
}

RunStep read_step(const std::filesystem::path& file) {
  const Json json = Json::parse(read_file(file), nullptr, false);
  const auto damaged = [&](std::string_view what) {
    fail(ErrorCode::invalid_data, "{} is no step of a run: {}", file.string(), what);
  };
  if (!json.is_object()) damaged("it is not a JSON object");
  if (!json.contains("nibble_run")) damaged("it has no key 'nibble_run'");
  const Json& schema = json["nibble_run"];
  if (schema != kRunSchema) {
    fail(ErrorCode::invalid_data,
         "{} has schema {} of runs, and this version of Nibble reads schema {}: make the run anew, "
         "or use the version that wrote it",
         file.string(), schema.dump(-1, ' ', false, Json::error_handler_t::replace), kRunSchema);
  }
  for (const char* key : {"provenance", "result"}) {
    if (!json.contains(key) || !json[key].is_object()) {
      damaged(fmt::format("'{}' is not an object", key));
    }
  }
  if (!json.contains("verb") || !json["verb"].is_string()) damaged("'verb' is not a string");
  return {json["verb"], json["provenance"], json["result"], file.string()};
}

}  // namespace

std::filesystem::path write_step(const std::filesystem::path& folder, const RunStep& step) {
  const Json json = {{"nibble_run", kRunSchema},
                     {"verb", step.verb},
                     {"provenance", step.provenance},
                     {"result", step.result}};
  // Whole under a name of its own first, then linked, which fails if another was faster.
  const std::filesystem::path whole = folder / fmt::format(".step-{}", ::getpid());
  write_file(whole, json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  const auto files = step_files(folder);
  for (int number = files.empty() ? 1 : files.rbegin()->first.first + 1;; ++number) {
    const std::filesystem::path path = folder / fmt::format("{:02}-{}.json", number, step.verb);
    std::error_code error;
    std::filesystem::create_hard_link(whole, path, error);
    if (error == std::errc::file_exists) continue;
    // A file system without links: the whole file is renamed.
    if (error) std::filesystem::rename(whole, path, error);
    if (error) {
      std::error_code ignored;
      std::filesystem::remove(whole, ignored);
      fail(ErrorCode::io, "cannot write '{}': {}", path.string(), error.message());
    }
    std::filesystem::remove(whole, error);
    return path;
  }
}

std::vector<RunStep> read_run(const std::filesystem::path& folder) {
  std::vector<RunStep> steps;
  for (const auto& [number, file] : step_files(folder)) steps.push_back(read_step(file));
  if (steps.empty()) {
    fail(ErrorCode::invalid_data,
         "the run folder '{}' holds no step: commands that measure leave one with --run {}",
         folder.string(), folder.string());
  }
  return steps;
}

}  // namespace nibble
