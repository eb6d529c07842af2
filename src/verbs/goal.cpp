#include "verbs/goal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/option_rows.h"
#include "ranges/binding.h"
#include "report/statistics.h"

namespace nibble {
namespace {

constexpr double kPoints = 100;  // in a share

std::vector<OptionRow<Goal>> make_rows() {
  const auto row = [](OptionSpec spec, auto Goal::*member) {
    return option<Goal>(
        std::move(spec), [member](auto& goal) -> auto& { return goal.*member; });
  };
  return {row({.flag = "--max-drop",
               .key = "max_drop",
               .help = "Find the smallest network that is at most this much worse than the float "
                       "model: in points of the metric, by the 95 % interval of the difference",
               .least = 0,
               .one_of = "goal"},
              &Goal::max_drop),
          row({.flag = "--min-sqnr",
               .key = "min_sqnr",
               .help = "Find the smallest network whose outputs keep this signal to quantization "
                       "noise ratio, in dB; needs no labels",
               .one_of = "goal"},
              &Goal::min_sqnr),
          row({.flag = "--metric",
               .key = "metric",
               .help = "What the drop is counted in: a metric of nibble eval; default top1"},
              &Goal::metric)};
}

MetricInfo metric_of(const Goal& goal, const Dataset& samples) {
  const std::string wanted = goal.min_sqnr ? "sqnr" : goal.metric.empty() ? "top1" : goal.metric;
  std::string names;
  for (const MetricInfo& info : metric_choices()) {
    if (info.name == wanted) {
      if (info.needs == MetricNeeds::labels && samples.classes() == 0) {
        fail(ErrorCode::invalid_argument,
             "--max-drop counts lost points of {}, and {} has no labels: give labelled samples, or "
             "--min-sqnr, which needs none",
             wanted, samples.describe());
      }
      return info;
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
  }
  fail(ErrorCode::invalid_argument, "there is no metric '{}'; there are: {}", wanted, names);
}

// What lies within a bound; a difference that is not defined lies beyond every bound.
double margin_of(double room) {
  return std::isnan(room) ? -std::numeric_limits<double>::infinity() : room;
}

double in_points(MetricUnit unit) { return unit == MetricUnit::share ? kPoints : 1; }

}  // namespace

std::span<const OptionRow<Goal>> goal_option_rows() {
  static const std::vector<OptionRow<Goal>> rows = make_rows();
  return rows;
}

void check_goal(const Goal& goal) {
  if (goal.max_drop || goal.metric.empty()) return;
  fail(ErrorCode::invalid_argument, "--metric {} says what --max-drop counts: give that too{}",
       goal.metric, goal.min_sqnr ? ", and leave --min-sqnr out" : "");
}

std::string verdict_text(const Verdict& v) {
  const std::string of = v.output.empty() ? "" : fmt::format(" of '{}'", v.output);
  if (v.unit == MetricUnit::decibels) {
    return fmt::format("{}{} {:.1f} [{:.1f}, {:.1f}] dB", v.metric, of, v.value, v.interval.low,
                       v.interval.high);
  }
  if (v.unit == MetricUnit::share) {
    return fmt::format("{}{} {:.2f} %, {:+.2f} [{:+.2f}, {:+.2f}] points", v.metric, of,
                       v.value * kPoints, v.change * kPoints, v.interval.low * kPoints,
                       v.interval.high * kPoints);
  }
  return fmt::format("{}{} {:.4g}, {:+.3g} [{:+.3g}, {:+.3g}]", v.metric, of, v.value, v.change,
                     v.interval.low, v.interval.high);
}

GoalJudge::GoalJudge(const Goal& goal, const Graph& reference,
                     std::shared_ptr<const Dataset> samples, double confidence,
                     const RunSettings& run)
    : goal_(goal),
      metric_(metric_of(goal, *samples)),
      reference_(reference),
      samples_(std::move(samples)),
      confidence_(confidence),
      run_(run) {}

std::optional<int64_t> GoalJudge::samples_needed(double changed) const {
  if (!goal_.max_drop || *goal_.max_drop <= 0 || metric_.unit != MetricUnit::share) {
    return std::nullopt;
  }
  // The difference of two shares has the variance of what changed, over n.
  const double deviate = normal_quantile(0.5 + confidence_ / 2);
  const double width = *goal_.max_drop / kPoints;
  return static_cast<int64_t>(std::ceil(deviate * deviate * changed / (width * width)));
}

void GoalJudge::require_enough() const {
  if (!goal_.max_drop || metric_.name != "top1") return;
  const double bound = *goal_.max_drop / kPoints;
  const Interval least = paired_difference_interval(0, 0, samples_->size(), confidence_);
  if (-least.low <= bound) return;
  if (bound <= 0) {
    fail(ErrorCode::invalid_argument,
         "--max-drop 0 cannot be shown: an interval always reaches below 0; allow a small drop");
  }
  // Tango's bound of n answers of which none changed is z^2 / (n + z^2).
  const double deviate = normal_quantile(0.5 + confidence_ / 2), square = deviate * deviate;
  fail(
      ErrorCode::invalid_data,
      "{} samples cannot show that at most {} points are lost: even if not one answer changed, the "
      "interval of the difference would reach {:.2f} points. At least {} samples are needed to "
      "decide, some times as many where answers change",
      samples_->size(), *goal_.max_drop, -least.low * kPoints,
      static_cast<int64_t>(std::ceil(square * (1 - bound) / bound)));
}

// `loss`: how much worse; `loss_bound`: the end of its interval that matters.
void GoalJudge::decide(Verdict& verdict, double loss, double loss_bound) const {
  const double unit = in_points(verdict.unit);
  const double bound = *goal_.max_drop;
  verdict.margin = margin_of(bound - loss_bound * unit);
  verdict.loss = loss * unit;
  const double room = bound - loss * unit, half = (loss_bound - loss) * unit;
  if (verdict.kept() || !(room > 0) || !std::isfinite(half)) return;
  const double ratio = half / room;
  verdict.would_decide =
      static_cast<int64_t>(std::ceil(static_cast<double>(verdict.samples) * ratio * ratio));
}

Verdict GoalJudge::judge(const Graph& network) {
  const bool alone = !bind_samples(network, *samples_).carries();
  return metric_.name == "top1" && alone ? judge_classes(network) : judge_by_metric(network);
}

// The float model is run once.
Verdict GoalJudge::judge_classes(const Graph& network) {
  const EvaluateOptions options{.threads = run_.threads, .progress = run_.progress};
  if (!reference_evaluation_) reference_evaluation_ = evaluate(reference_, *samples_, options);
  const Evaluation own = evaluate(network, *samples_, options);
  const PairedTest paired = compare_paired(*reference_evaluation_, own);
  Verdict verdict{.metric = std::string(metric_.name),
                  .output = "",
                  .unit = metric_.unit,
                  .samples = own.samples,
                  .value = own.accuracy(),
                  .change = paired.difference,
                  .interval = paired_difference_interval(
                      paired.only_first_right, paired.only_second_right, own.samples, confidence_),
                  .confidence = confidence_,
                  .would_decide = {}};
  decide(verdict, -verdict.change, -verdict.interval.low);
  return verdict;
}

// The worst of the outputs.
Verdict GoalJudge::judge_by_metric(const Graph& network) {
  const std::array<MeasuredModel, 2> models = {MeasuredModel{.name = "the float model",
                                                             .graph = &reference_,
                                                             .data = samples_.get(),
                                                             .arithmetic = Arithmetic::f32},
                                               MeasuredModel{.name = "the quantized model",
                                                             .graph = &network,
                                                             .data = samples_.get(),
                                                             .arithmetic = {}}};
  const std::vector<MetricReport> reports = measure(models, {.metric = std::string(metric_.name),
                                                             .threads = run_.threads,
                                                             .confidence = confidence_,
                                                             .seed = run_.seed,
                                                             .progress = run_.progress});
  std::optional<Verdict> worst;
  for (const MetricReport& report : reports) {
    const Measurement& own = report.models[1];
    // Of nearness to the float model, what is missing to the best there is is the loss.
    const bool nearness = report.base == 1;
    Verdict verdict{.metric = report.metric,
                    .output = report.output,
                    .unit = report.unit,
                    .samples = own.samples,
                    .value = own.value,
                    .change = nearness ? own.value : report.differences[1].value,
                    .interval = nearness ? own.interval : report.differences[1].interval,
                    .confidence = confidence_,
                    .would_decide = {}};
    if (goal_.min_sqnr) {
      verdict.margin = margin_of(verdict.interval.low - *goal_.min_sqnr);
    } else if (nearness && report.unit == MetricUnit::share) {
      decide(verdict, 1 - verdict.value, 1 - verdict.interval.low);
      verdict.change = verdict.value - 1;
      verdict.interval = {verdict.interval.low - 1, verdict.interval.high - 1};
    } else if (report.larger_is_better) {
      decide(verdict, -verdict.change, -verdict.interval.low);
    } else {
      decide(verdict, verdict.change, verdict.interval.high);
    }
    if (!worst || verdict.margin < worst->margin) worst = std::move(verdict);
  }
  check(worst.has_value(), "a metric judges at least one output");
  return *std::move(worst);
}

}  // namespace nibble
