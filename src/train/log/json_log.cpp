// A line of JSON for each entry; docs/training.md describes them.
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/check.h"
#include "base/file.h"
#include "nibble/version.h"
#include "train/log/log.h"
#include "train/log/output_file.h"
#include "train/options.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

// The lines that hold for a training that goes on from `start`: later ones will be written again.
std::string lines_before(const std::string& path, const LogStart& start) {
  if (!std::filesystem::exists(path)) return "";
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || json.value("step", int64_t{0}) > start.step) continue;
    if (json.value("event", "") == "epoch" && json.value("epoch", 0) > start.epochs) continue;
    kept += line + "\n";
  }
  return kept;
}

class JsonLog final : public StepLog {
 public:
  JsonLog(const TrainOptions& options, const LogStart& start)
      : StepLog(options.log_every),
        score_(score_name(options)),
        labelled_(start.labelled),
        file_(begun(options, start)) {
    if (start.resumes) {
      write({{"event", "resume"}, {"step", start.step}});
      return;
    }
    write({{"event", "begin"},
           {"version", version()},
           {"epochs", options.epochs},
           {"steps_per_epoch", start.steps_per_epoch},
           {"training_samples", start.training_samples},
           {"validation_samples", start.validation_samples},
           {"seed", options.seed},
           {"threads", options.threads},
           {"options", options_to_json<TrainOptions>(train_option_rows(), options, {})}});
  }

  void on_start(const Epoch& epoch) override {
    Json line = {{"event", "start"}, {"step", 0}};
    line.update(validation(epoch));
    write(line);
  }

  void on_epoch(int number, int64_t step, const Epoch& epoch, bool best) override {
    Json line = {{"event", "epoch"},
                 {"step", step},
                 {"epoch", number + 1},
                 {"train_loss", epoch.train_loss},
                 {"learning_rate", epoch.learning_rate}};
    line.update(validation(epoch));
    line["best"] = best;
    write(line);
  }

 private:
  static const std::string& begun(const TrainOptions& options, const LogStart& start) {
    write_file(options.log, start.resumes ? lines_before(options.log, start) : "");
    return options.log;
  }

  void write_step(const TrainStep& step) override {
    write({{"event", "step"},
           {"step", step.step},
           {"epoch", step.epoch + 1},
           {"loss", step.loss},
           {"learning_rate", step.learning_rate},
           {"samples_per_second", std::round(step.samples_per_second * 10) / 10},
           {"waiting", std::round(step.waiting * 1e4) / 1e4}});
  }

  Json validation(const Epoch& epoch) const {
    Json line = {{"validation_loss", epoch.validation_loss},
                 {"validation_samples", epoch.validation_samples}};
    if (!labelled_) line["validation_sqnr_db"] = epoch.validation_sqnr_db;
    if (labelled_) line["validation_accuracy"] = epoch.validation_accuracy;
    if (epoch.score) {
      line["score"] = {{"metric", score_},
                       {"value", epoch.score->value},
                       {"interval_95", {epoch.score->low, epoch.score->high}},
                       {"samples", epoch.score->samples}};
    }
    return line;
  }

  void write(const Json& line) { file_.append(line.dump() + "\n"); }

  std::string score_;
  bool labelled_;
  OutputFile file_;
};

}  // namespace

std::unique_ptr<TrainObserver> open_json_log(const TrainOptions& options, const LogStart& start) {
  return std::make_unique<JsonLog>(options, start);
}

}  // namespace nibble
