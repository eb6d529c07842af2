// measure: any metric, on any output, of several models side by side.
#include "nibble/measure.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "base/check.h"
#include "base/packing.h"
#include "report/measure_plan.h"
#include "report/output_stream.h"
#include "report/paired.h"

namespace nibble {
namespace {

class Measuring {
 public:
  Measuring(std::span<const MeasuredModel> models, const MeasureOptions& options)
      : models_(models), options_(options), data_(*models[0].data) {
    for (const MeasuredModel& model : models) {
      with_context([&] { return "evaluating " + model.name; }, [&] { open(model); });
    }
  }

  std::vector<MetricReport> run() {
    // However the samples are dealt out, what is measured is as the first of all of them says.
    answer();
    tasks_ = plan_tasks(models_, answers_, options_);
    const Share share = share_of_this_rank();
    for (auto& stream : streams_) {
      if (share.begin > 0) stream->go_to(share);
    }
    report_progress(options_.progress, "evaluating", 0, share.size());
    for (int64_t i = share.begin; i < share.end; ++i) {
      if (i > 0) answer();
      for (MetricTask& task : tasks_) judge(task, i);
      report_progress(options_.progress, "evaluating", i + 1 - share.begin, share.size());
    }
    if (options_.ranks != nullptr) {
      for (MetricTask& task : tasks_) put_together(task);
    }
    std::vector<MetricReport> reports;
    for (size_t i = 0; i < tasks_.size(); ++i) {
      report_progress(options_.progress, "resampling", static_cast<int64_t>(i),
                      static_cast<int64_t>(tasks_.size()));
      reports.push_back(report(tasks_[i]));
    }
    return reports;
  }

 private:
  void open(const MeasuredModel& model) {
    if (model.data->size() != data_.size()) {
      fail(ErrorCode::invalid_data, "{} has {} samples and {} {}: they cannot be compared",
           model.data->describe(), model.data->size(), data_.describe(), data_.size());
    }
    streams_.push_back(std::make_unique<OutputStream>(
        *model.graph, *model.data,
        SampleRunnerOptions{.batch = options_.batch,
                            .arithmetic = model.arithmetic.value_or(options_.arithmetic),
                            .threads = options_.threads}));
    answers_.emplace_back();
    carries_ = carries_ || streams_.back()->carries();
  }

  // Whole batches of every model.
  Share share_of_this_rank() const {
    int64_t unit = 1;
    for (const auto& stream : streams_) unit = std::lcm(unit, stream->runner().batch());
    const auto carrying =
        std::ranges::find_if(streams_, [](const auto& s) { return s->carries(); });
    const auto& stream = carrying == streams_.end() ? streams_.front() : *carrying;
    return stream->runner().share(options_.ranks, unit);
  }

  // What all ranks found, in the order of the samples.
  void put_together(MetricTask& task) const {
    Packer mine;
    mine.put(task.kept);
    mine.put(task.left_out);
    mine.put(task.watches);
    for (const Contributions& numbers : task.contributions) {
      for (size_t i = 0; i < numbers.samples(); ++i) {
        mine.put(std::vector<double>(numbers.of(i).begin(), numbers.of(i).end()));
      }
    }
    const MetricTask own = std::move(task);
    task = {.row = own.row,
            .base = own.base,
            .target_field = own.target_field,
            .readings = own.readings,
            .watches = std::vector<AnswerWatch>(models_.size()),
            .contributions = std::vector<Contributions>(models_.size())};
    for (const std::string& bytes : options_.ranks->gather(mine.take())) {
      Unpacker packed(bytes);
      const std::vector<int64_t> kept = packed.list<int64_t>();
      task.left_out += packed.get<int64_t>();
      std::ranges::copy(kept, std::back_inserter(task.kept));
      const std::vector<AnswerWatch> watches = packed.list<AnswerWatch>();
      for (size_t m = 0; m < watches.size(); ++m) task.watches[m].merge(watches[m]);
      for (size_t m = task.base; m < models_.size(); ++m) {
        for (size_t i = 0; i < kept.size(); ++i) task.contributions[m].add(packed.list<double>());
      }
    }
  }

  void answer() {
    for (size_t m = 0; m < models_.size(); ++m) {
      with_context([&] { return "evaluating " + models_[m].name; },
                   [&] { answers_[m] = streams_[m]->next(); });
    }
  }

  // A sample that one model cannot be judged by is left out for all of them.
  void judge(MetricTask& task, int64_t sample) {
    const bool by_target = task.row->needs == MetricNeeds::targets;
    const Tensor target = by_target ? data_.targets(sample)[task.target_field] : Tensor{};
    std::vector<std::vector<double>> numbers(models_.size());
    for (size_t m = task.base; m < models_.size(); ++m) {
      const Tensor& output = answers_[m][task.readings[m].output];
      require_told_apart(output, task.readings[m].name);
      task.watches[m].see(task.readings[m], output);
      with_context([&] { return "evaluating " + models_[m].name; },
                   [&] { judge_one(task, m, sample, target, numbers[m]); });
      if (!numbers[m].empty()) continue;
      ++task.left_out;
      return;
    }
    task.kept.push_back(sample);
    for (size_t m = task.base; m < models_.size(); ++m) task.contributions[m].add(numbers[m]);
  }

  void judge_one(const MetricTask& task, size_t m, int64_t sample, const Tensor& target,
                 std::vector<double>& numbers) const {
    MetricInput input{.output = answers_[m][task.readings[m].output],
                      .reading = task.readings[m],
                      .classes = data_.classes()};
    if (task.row->needs == MetricNeeds::targets) input.target = &target;
    if (task.row->needs == MetricNeeds::labels) input.label = models_[m].data->label(sample);
    if (task.row->needs == MetricNeeds::reference) {
      input.reference = &answers_[0][task.readings[0].output];
      input.reference_reading = &task.readings[0];
      require_told_apart(*input.reference, task.readings[0].name);
    }
    if (input.label >= 0 && task.readings[m].classes > 0 &&
        input.label >= task.readings[m].classes) {
      fail_label(data_, sample, input.label, task.readings[m]);
    }
    task.row->judge(input, numbers);
  }

  static void require_told_apart(const Tensor& output, const std::string& name) {
    if (!output.empty()) return;
    fail(ErrorCode::invalid_model, "the output '{}' cannot be told apart by samples", name);
  }

  MetricReport report(const MetricTask& task) const {
    require_judged(task);
    ResampleOptions resample{.confidence = options_.confidence,
                             .resamples = options_.resamples,
                             .seed = options_.seed,
                             .threads = options_.threads};
    std::vector<std::string> of_groups;
    if (carries_) resample.groups = runs_of(data_, task.kept, of_groups);
    MetricReport report{.metric = std::string(task.row->name),
                        .unit = task.row->unit,
                        .larger_is_better = task.row->larger_is_better,
                        .output = task.readings[0].name,
                        .base = task.base,
                        .models = std::vector<Measurement>(models_.size()),
                        .differences = std::vector<MeasuredDifference>(models_.size())};
    for (size_t m = task.base; m < models_.size(); ++m) {
      Measurement& one = report.models[m];
      one = measured(*task.row, task.contributions[m], resample);
      one.left_out = task.left_out;
      one.notes = streams_[m]->notes();
      std::ranges::copy(task.watches[m].notes(task.readings[m]), std::back_inserter(one.notes));
      std::ranges::copy(of_groups, std::back_inserter(one.notes));
      if (task.left_out > 0) one.notes.push_back(note_of_left_out(task));
      if (m == task.base) continue;
      report.differences[m] = measured_difference(*task.row, task.contributions[task.base],
                                                  task.contributions[m], resample);
    }
    return report;
  }

  static std::string what_differs(const MetricTask& task) {
    return fmt::format(
        "'{}' differs in size from {}", task.readings[0].name,
        task.row->needs == MetricNeeds::targets ? "its target" : "that of the first model");
  }
  static std::string note_of_left_out(const MetricTask& task) {
    return fmt::format("{} of {} samples are left out of {}: {}", task.left_out,
                       task.left_out + static_cast<int64_t>(task.kept.size()), task.row->name,
                       what_differs(task));
  }
  static void require_judged(const MetricTask& task) {
    if (!task.kept.empty()) return;
    fail(ErrorCode::invalid_argument, "{} cannot be measured on any sample: {}", task.row->name,
         what_differs(task));
  }

  const std::span<const MeasuredModel> models_;
  const MeasureOptions& options_;
  const Dataset& data_;  // the first model's
  std::vector<std::unique_ptr<OutputStream>> streams_;
  std::vector<std::span<const Tensor>> answers_;  // of the current sample, by model
  std::vector<MetricTask> tasks_;
  bool carries_ = false;
};

}  // namespace

std::vector<MetricReport> measure(std::span<const MeasuredModel> models,
                                  const MeasureOptions& options) {
  if (models.empty()) fail(ErrorCode::invalid_argument, "there is no model to measure");
  return Measuring(models, options).run();
}

}  // namespace nibble
