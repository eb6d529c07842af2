// What a quantized network must keep of the float one, and whether it does: decided by the interval
// of the paired difference, not by the difference.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/options.h"
#include "nibble/data.h"
#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "verbs/samples.h"

#pragma GCC visibility push(default)
namespace nibble {

/// At most one of the two bounds is set; none: there is no goal.
struct Goal {
  /// How much worse than the float model it may be by the metric: in points of a share (0.5 is
  /// 0.5 %), else in the metric's own unit.
  std::optional<double> max_drop;
  std::optional<double> min_sqnr;  // dB of each output, against the float model's
  std::string metric;              // of metric_choices(), for max_drop; empty: top1

  bool given() const { return max_drop || min_sqnr; }
};
std::span<const OptionRow<Goal>> goal_option_rows();
/// Throws Error{invalid_argument} for a metric without a bound.
void check_goal(const Goal& goal);

/// A network against the float one on the same samples.
struct Verdict {
  std::string metric, output;
  MetricUnit unit = MetricUnit::share;
  int64_t samples = 0;
  double value = 0;   // of the network itself, by the metric
  double change = 0;  // from the float model's; of SQNR and other nearness the value itself
  Interval interval;  // of the change
  double confidence = 0.95;
  double loss = 0;  // how much worse, in the unit of the goal; of max_drop alone
  /// How far the end of the interval that matters lies within the bound; below 0: beyond it. In the
  /// unit of the goal.
  double margin = 0;
  /// Samples that would have decided, by the width of the interval, where the change alone is
  /// within the bound but its interval is not.
  std::optional<int64_t> would_decide;

  bool kept() const { return margin >= 0; }
  /// "kept", "missed", or "undecided" where more samples might tell.
  std::string_view outcome() const {
    return kept() ? "kept" : would_decide ? "undecided" : "missed";
  }
};
/// "top1 87.08 %, -1.38 [-1.98, -0.80] points"; "sqnr of 'logits' 19.2 [18.0, 20.3] dB".
std::string verdict_text(const Verdict& verdict);

/// Judges networks by one goal, on the same samples.
class GoalJudge {
 public:
  /// Throws Error{invalid_argument} if the samples do not tell what the goal asks.
  GoalJudge(const Goal& goal, const Graph& reference, std::shared_ptr<const Dataset> samples,
            double confidence, const RunSettings& run);

  Verdict judge(const Graph& network);
  /// Samples after which half of the interval is as wide as the bound, if `changed` of the answers
  /// differ; nullopt for what is no share of right answers.
  std::optional<int64_t> samples_needed(double changed) const;
  /// Throws Error{invalid_data} if the samples are so few that not even a network that answers all
  /// of them as the float one does could be seen to keep to the goal.
  void require_enough() const;

 private:
  Verdict judge_classes(const Graph& network);
  Verdict judge_by_metric(const Graph& network);
  void decide(Verdict& verdict, double loss, double loss_bound) const;

  Goal goal_;
  MetricInfo metric_;
  const Graph& reference_;
  std::shared_ptr<const Dataset> samples_;
  double confidence_;
  RunSettings run_;
  std::optional<Evaluation> reference_evaluation_;
};

}  // namespace nibble
#pragma GCC visibility pop
