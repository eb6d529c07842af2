// The course of a training for TensorBoard.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>

#include "base/check.h"
#include "train/log/event_file.h"
#include "train/log/log.h"
#include "train/log/output_file.h"

namespace nibble {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A name that no other file in the folder has: "events.out.tfevents.SECONDS.HOST.PROCESS".
std::string new_file(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    fail(ErrorCode::io, "cannot make the folder '{}': {}", folder, error.message());
  }
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  const auto seconds = static_cast<int64_t>(now());
  for (int count = 0;; ++count) {
    const auto path = std::filesystem::path(folder) /
                      fmt::format("events.out.tfevents.{}.{}.{}.{}", seconds,
                                  host[0] == '\0' ? "host" : host.data(), ::getpid(), count);
    if (!std::filesystem::exists(path)) return path;
  }
}

class EventLog final : public StepLog {
 public:
  EventLog(const TrainOptions& options, const LogStart& start)
      : StepLog(options.log_every),
        score_(score_name(options)),
        labelled_(start.labelled),
        file_(new_file(options.tensorboard)) {
    file_.append(event_record(file_version_event(now())));
    if (start.resumes) file_.append(event_record(restart_event(now(), start.step + 1)));
  }

  void on_start(const Epoch& epoch) override { write_validation(0, epoch); }

  void on_epoch(int, int64_t step, const Epoch& epoch, bool) override {
    write("loss/epoch", step, epoch.train_loss);
    write_validation(step, epoch);
  }

 private:
  void write_step(const TrainStep& step) override {
    write("loss/training", step.step, step.loss);
    write("learning_rate", step.step, step.learning_rate);
    write("pace/samples_per_second", step.step, step.samples_per_second);
    write("pace/waiting", step.step, step.waiting);
  }

  void write_validation(int64_t step, const Epoch& epoch) {
    write("loss/validation", step, epoch.validation_loss);
    if (!labelled_) write("validation/sqnr_db", step, epoch.validation_sqnr_db);
    if (!epoch.score) return;
    const std::string tag = "validation/" + score_;
    write(tag, step, epoch.score->value);
    write(tag + "_low_95", step, epoch.score->low);
    write(tag + "_high_95", step, epoch.score->high);
    write("validation/samples", step, static_cast<double>(epoch.score->samples));
  }

  void write(std::string_view tag, int64_t step, double value) {
    file_.append(event_record(scalar_event(now(), step, tag, static_cast<float>(value))));
  }

  std::string score_;
  bool labelled_;
  OutputFile file_;
};

}  // namespace

std::unique_ptr<TrainObserver> open_event_log(const TrainOptions& options, const LogStart& start) {
  return std::make_unique<EventLog>(options, start);
}

}  // namespace nibble
