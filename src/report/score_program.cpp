// measure_by_program: the outputs of each model are written down, a program of the user's judges
// them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "data/npy.h"
#include "nibble/measure.h"
#include "report/child_process.h"
#include "report/measure_plan.h"
#include "report/output_stream.h"
#include "report/paired.h"
#include "report/scratch_folder.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// A temporary file: no need to make it last.
void write_scratch(const fs::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) fail(ErrorCode::io, "cannot write {}: is the disk full?", path.string());
}

Tensor storable(const Tensor& tensor) {
  return tensor.dtype() == DType::bf16 ? convert(tensor, DType::f32) : tensor;
}

std::string sample_file(int64_t sample) { return fmt::format("{:06}.npz", sample); }

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

class Judging {
 public:
  Judging(std::span<const MeasuredModel> models, const std::string& program,
          const MeasureOptions& options)
      : models_(models), program_(program), options_(options), data_(*models[0].data) {}

  MetricReport run() {
    write_shared();
    for (size_t m = 0; m < models_.size(); ++m) write_model(m);
    std::vector<std::vector<double>> answers;
    for (size_t m = 0; m < models_.size(); ++m) answers.push_back(ask(m));
    return report(answers);
  }

 private:
  fs::path folder(size_t model) const {
    return scratch_.path() / fmt::format("model{}", model + 1);
  }
  int64_t samples() const { return data_.size(); }
  // One number too many would be taken for another kind of answer.
  int64_t sets() const {
    const int64_t wanted = options_.resamples + int64_t{1};
    return wanted == samples() ? wanted + 1 : wanted;
  }

  // What is the same for all models.
  void write_shared() {
    if (samples() == 0) {
      fail(ErrorCode::invalid_data, "the data set is empty: {}", data_.describe());
    }
    const fs::path shared = scratch_.path() / "shared";
    fs::create_directory(shared);
    if (data_.classes() > 0) {
      Tensor labels(DType::i64, {samples()});
      for (int64_t i = 0; i < samples(); ++i) {
        labels.data<int64_t>()[static_cast<size_t>(i)] = data_.label(i);
      }
      write_scratch(shared / "labels.npy", npy_bytes(labels));
    }
    const std::vector<Field> fields = data_.target_fields();
    if (!fields.empty()) fs::create_directory(shared / "targets");
    for (int64_t i = 0; i < samples() && !fields.empty(); ++i) {
      const std::vector<Tensor> targets = data_.targets(i);
      NamedTensors named;
      for (size_t k = 0; k < targets.size(); ++k) {
        const std::string& name = fields[k].name;
        named.emplace_back(name.empty() ? "target" : name, storable(targets[k]));
      }
      write_scratch(shared / "targets" / sample_file(i), npz_bytes(named));
    }
  }

  void write_model(size_t model) {
    const MeasuredModel& judged = models_[model];
    const fs::path outputs = folder(model) / "outputs";
    fs::create_directories(outputs);
    std::vector<std::string> names;
    with_context(
        [&] { return "evaluating " + judged.name; },
        [&] {
          if (judged.data->size() != samples()) {
            fail(ErrorCode::invalid_data, "{} has {} samples and {} {}: they cannot be compared",
                 judged.data->describe(), judged.data->size(), data_.describe(), samples());
          }
          OutputStream stream(*judged.graph, *judged.data,
                              {.batch = options_.batch,
                               .arithmetic = judged.arithmetic.value_or(options_.arithmetic),
                               .threads = options_.threads});
          carries_ = carries_ || stream.carries();
          notes_.push_back(stream.notes());
          for (size_t i = 0; i < judged.graph->outputs.size(); ++i) {
            names.push_back(stream.output_name(i));
          }
          for (int64_t i = 0; i < samples(); ++i) {
            report_progress(options_.progress, "evaluating", i, samples());
            write_sample(stream.next(), names, outputs / sample_file(i));
          }
        });
    for (const auto& entry : fs::directory_iterator(scratch_.path() / "shared")) {
      fs::create_symlink(entry.path(), folder(model) / entry.path().filename());
    }
    fs::create_directory_symlink(folder(0) / "outputs", folder(model) / "reference");
    nlohmann::ordered_json request = {{"version", 1},
                                      {"model", judged.name},
                                      {"reference", models_[0].name},
                                      {"data", data_.describe()},
                                      {"samples", samples()},
                                      {"sets", sets()},
                                      {"outputs", names}};
    std::vector<std::string> files;
    for (int64_t i = 0; i < samples(); ++i) files.push_back(judged.data->file_of(i));
    const bool known = std::ranges::any_of(files, [](const auto& file) { return !file.empty(); });
    if (known) request["files"] = files;
    write_scratch(folder(model) / "request.json", request.dump(2) + "\n");
  }

  static void write_sample(std::span<const Tensor> outputs, const std::vector<std::string>& names,
                           const fs::path& path) {
    NamedTensors named;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].empty()) {
        fail(ErrorCode::invalid_model, "the output '{}' cannot be told apart by samples", names[i]);
      }
      named.emplace_back(names[i], storable(outputs[i]));
    }
    write_scratch(path, npz_bytes(named));
  }

  const ResampleOptions& resampling() {
    if (!resampling_) {
      resampling_ = ResampleOptions{.confidence = options_.confidence,
                                    .resamples = options_.resamples,
                                    .seed = options_.seed,
                                    .threads = options_.threads};
      std::vector<int64_t> all(static_cast<size_t>(samples()));
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
      if (carries_) resampling_->groups = runs_of(data_, all, group_notes_);
    }
    return *resampling_;
  }

  // How often each sample is in each set; the first set is all samples once.
  void write_sets(const fs::path& path) {
    Tensor counts(DType::u8, {sets(), samples()});
    const std::span<uint8_t> all = counts.data<uint8_t>();
    const auto width = static_cast<size_t>(samples());
    std::fill_n(all.begin(), width, uint8_t{1});
    for (int64_t set = 1; set < sets(); ++set) {
      const std::vector<uint32_t> drawn = draw_counts(samples(), resampling(), set - 1);
      for (size_t i = 0; i < width; ++i) {
        all[static_cast<size_t>(set) * width + i] =
            static_cast<uint8_t>(std::min<uint32_t>(drawn[i], 255));
      }
    }
    write_scratch(path, npy_bytes(counts));
  }

  std::vector<double> ask(size_t model) {
    report_progress(options_.progress, "scoring", static_cast<int64_t>(model),
                    static_cast<int64_t>(models_.size()));
    const fs::path sets_file = scratch_.path() / "sets.npy";
    if (model == 0) write_sets(sets_file);
    fs::create_symlink(sets_file, folder(model) / "sets.npy");
    const ProgramResult result =
        run_program(program_, folder(model).string(), scratch_.path(), options_.progress);
    return with_context(
        [&] { return fmt::format("scoring {} with '{}'", models_[model].name, program_); },
        [&] { return answers_of(result); });
  }

  std::vector<double> answers_of(const ProgramResult& result) const {
    if (result.status != 0) {
      const std::string reason = last_line(result.err);
      fail(ErrorCode::invalid_data, "it failed with exit code {}{}{}", result.status,
           reason.empty() ? "" : ": ", reason);
    }
    std::vector<double> answers;
    std::string_view rest = result.out;
    while (true) {
      constexpr std::string_view kSpace = " \t\r\n";
      const size_t begin = rest.find_first_not_of(kSpace);
      if (begin == std::string_view::npos) break;
      rest.remove_prefix(begin);
      const std::string_view word = rest.substr(0, rest.find_first_of(kSpace));
      rest.remove_prefix(word.size());
      answers.push_back(number_of(word, answers.size()));
    }
    const auto count = static_cast<int64_t>(answers.size());
    if (count != samples() && count != sets()) {
      fail(ErrorCode::invalid_data,
           "it answered {} number{}; wanted are {} (one for each sample) or {} (one for each row "
           "of sets.npy)",
           count, count == 1 ? "" : "s", samples(), sets());
    }
    return answers;
  }

  double number_of(std::string_view word, size_t place) const {
    const std::string_view digits = word.starts_with('+') ? word.substr(1) : word;
    double value = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code != std::errc() || end != digits.data() + digits.size()) {
      fail(ErrorCode::invalid_data, "its answer number {} is '{}', not a number", place + 1,
           word.substr(0, 40));
    }
    // A set that was drawn may be one that has no value, such as one without positives.
    if (std::isinf(value) || (std::isnan(value) && place == 0)) {
      fail(ErrorCode::invalid_data, "its answer number {} is {}", place + 1, word);
    }
    return value;
  }

  static std::string last_line(const std::string& text) {
    const size_t end = text.find_last_not_of(" \t\r\n");
    if (end == std::string::npos) return {};
    const size_t begin = text.find_last_of('\n', end);
    return text.substr(begin == std::string::npos ? 0 : begin + 1,
                       end - (begin == std::string::npos ? 0 : begin + 1) + 1);
  }

  MetricReport report(const std::vector<std::vector<double>>& answers) {
    const bool by_sample = static_cast<int64_t>(answers[0].size()) == samples();
    MetricReport report{.metric = "score",
                        .unit = MetricUnit::plain,
                        .models = std::vector<Measurement>(models_.size()),
                        .differences = std::vector<MeasuredDifference>(models_.size())};
    for (size_t m = 0; m < models_.size(); ++m) {
      if (answers[m].size() != answers[0].size()) {
        fail(ErrorCode::invalid_data,
             "'{}' answered {} numbers for {} and {} for {}: they cannot be compared", program_,
             answers[0].size(), models_[0].name, answers[m].size(), models_[m].name);
      }
      if (by_sample) {
        add_samples(report, m, answers);
      } else {
        add_sets(report, m, answers);
      }
      report.models[m].notes = notes_[m];
      std::ranges::copy(group_notes_, std::back_inserter(report.models[m].notes));
    }
    return report;
  }

  void add_samples(MetricReport& report, size_t m,
                   const std::vector<std::vector<double>>& answers) {
    static const MetricRow row{.name = "score", .unit = MetricUnit::plain};
    const auto numbers = [&](size_t model) {
      Contributions contributions;
      for (size_t i = 0; i < answers[model].size(); ++i) {
        if (std::isnan(answers[model][i])) {
          fail(ErrorCode::invalid_data, "'{}' answered NaN for sample {} of {}", program_, i,
               models_[model].name);
        }
        contributions.add(std::span(&answers[model][i], 1));
      }
      return contributions;
    };
    const Contributions own = numbers(m);
    report.models[m] = measured(row, own, resampling());
    if (m > 0) report.differences[m] = measured_difference(row, numbers(0), own, resampling());
  }

  void add_sets(MetricReport& report, size_t m, const std::vector<std::vector<double>>& answers) {
    const bool enough = samples() > 1;
    const auto interval = [&](double value, const std::vector<double>& drawn) {
      return enough ? bias_corrected_interval(value, drawn, options_.confidence)
                    : bias_corrected_interval(0, {}, options_.confidence);
    };
    const std::vector<double>& own = answers[m];
    Measurement& one = report.models[m];
    one.samples = samples();
    one.value = own[0];
    one.interval = interval(own[0], {own.begin() + 1, own.end()});
    one.method = enough ? IntervalMethod::bias_corrected : IntervalMethod::none;
    if (m == 0) return;
    std::vector<double> drawn;
    for (size_t i = 1; i < own.size(); ++i) drawn.push_back(difference_of(answers[0][i], own[i]));
    MeasuredDifference& difference = report.differences[m];
    difference.value = difference_of(answers[0][0], own[0]);
    difference.interval = interval(difference.value, drawn);
    difference.method = one.method;
  }

  const std::span<const MeasuredModel> models_;
  const std::string& program_;
  const MeasureOptions& options_;
  const Dataset& data_;
  ScratchFolder scratch_{"nibble-score"};
  std::vector<std::vector<std::string>> notes_;  // by model
  std::vector<std::string> group_notes_;
  std::optional<ResampleOptions> resampling_;
  bool carries_ = false;
};

}  // namespace

MetricReport measure_by_program(std::span<const MeasuredModel> models, const std::string& program,
                                const MeasureOptions& options) {
  if (models.empty()) fail(ErrorCode::invalid_argument, "there is no model to measure");
  if (program.empty()) fail(ErrorCode::invalid_argument, "the scoring program has no name");
  return Judging(models, program, options).run();
}

}  // namespace nibble
