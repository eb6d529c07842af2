#include "report/page/sentences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/format.h"

namespace nibble::page {
namespace {

constexpr double kSame = 0.005;  // ratios nearer to 1 than this are called equal

std::string ratio_text(double ratio) {
  return ratio < 9.95 ? fmt::format("{:.1f}", ratio) : fmt::format("{:.0f}", ratio);
}

// 1.04 would be said to be "1.0 times" as much: small changes are told in percent.
std::string change_text(double ratio, std::string_view more, std::string_view less,
                        std::string_view same) {
  if (std::abs(ratio - 1) < kSame) return std::string(same);
  const std::string_view word = ratio > 1 ? more : less;
  const double large = std::max(ratio, 1 / ratio);
  if (large < 1.15) return fmt::format("{:.1f} % {}", std::abs(ratio - 1) * 100, word);
  return fmt::format("{} times {}", ratio_text(large), word);
}

// "8 bits", "4 or 8 bits", "float".
std::string bits_of_layers(const std::set<int>& bits) {
  std::string text;
  for (const int one : bits) {
    if (!text.empty()) text += " or ";
    text += one == 0 ? "float" : std::to_string(one);
  }
  return text;
}

std::pair<std::set<int>, std::set<int>> bits_used(const std::map<std::string, LayerBits>& layers) {
  std::pair<std::set<int>, std::set<int>> bits;
  for (const auto& [node, one] : layers) {
    bits.first.insert(one.weight_bits);
    bits.second.insert(one.activation_bits);
  }
  return bits;
}

std::string kind_text(const std::set<int>& bits, std::string_view kind) {
  if (bits.size() == 1 && *bits.begin() == 0) return fmt::format("float {}", kind);
  if (bits.size() == 1) return fmt::format("{}-bit {}", *bits.begin(), kind);
  return fmt::format("{} of {} bits", kind, bits_of_layers(bits));
}

const Making* making_of(const Findings& findings, const ModelName& model) {
  for (auto it = findings.makings.rbegin(); it != findings.makings.rend(); ++it) {
    if (it->to == model) return &*it;
  }
  return nullptr;
}

// The parts of one model's sentence.
class Sentence {
 public:
  Sentence(const Findings& findings, const ModelName& model)
      : findings_(findings), model_(model), making_(making_of(findings, model)) {
    if (making_ != nullptr && !making_->from.empty()) base_ = making_->from;
    if (base_.empty()) base_ = base_of_measurements();
  }
  std::string text() const;

 private:
  ModelName base_of_measurements() const;
  std::string subject() const;
  std::vector<std::string> changes() const;
  std::string size_change() const;
  std::string speed_change() const;
  std::string training() const;
  bool measured_again(const ScoreTable& table, const Score& score) const;
  std::string scores() const;
  std::string judged_by_another() const;

  const Findings& findings_;
  ModelName model_;
  const Making* making_;
  ModelName base_;  // what it is compared with in size and speed; empty: nothing
};

ModelName Sentence::base_of_measurements() const {
  if (making_ != nullptr) return {};  // made of nothing
  for (const ScoreTable& table : findings_.scores) {
    if (!table.against.empty()) {
      const bool judged = std::ranges::any_of(
          table.scores, [&](const Score& score) { return score.model == model_; });
      if (judged) return table.against;
    }
    for (const Score& score : table.scores) {
      if (score.model == model_ && score.difference) return score.difference->from;
    }
  }
  for (const Benchmark& benchmark : findings_.benchmarks) {
    const bool timed = std::ranges::any_of(
        benchmark.timings, [&](const Timing& timing) { return timing.model == model_; });
    if (timed && benchmark.timings.front().model != model_) return benchmark.timings.front().model;
  }
  return {};
}

std::string Sentence::subject() const {
  const std::string& name = findings_.label(model_);
  if (making_ == nullptr) {
    return base_.empty() ? name : fmt::format("{}, against {},", name, findings_.label(base_));
  }
  const std::string bits = bits_text(making_->layers);
  const std::string& from = findings_.label(making_->from);
  if (making_->verb == "train") {
    return fmt::format("Training {} from scratch gave {}, which",
                       making_->architecture.empty() ? "a network" : making_->architecture, name);
  }
  if (making_->verb == "finetune") return fmt::format("Fine-tuning {} gave {}, which", from, name);
  const std::string to = bits.empty() ? "" : " to " + bits;
  if (making_->verb == "qat") {
    return fmt::format("Quantizing {}{}, with training in the loop, gave {}, which", from, to,
                       name);
  }
  return fmt::format("Quantizing {}{} gave {}, which", from, to, name);
}

std::string Sentence::size_change() const {
  if (base_.empty()) return {};
  const ModelFacts* before = findings_.find(base_);
  const ModelFacts* after = findings_.find(model_);
  if (before == nullptr || after == nullptr || !before->bytes || !after->bytes) return {};
  if (*before->bytes == 0 || *after->bytes == 0) return {};
  return fmt::format(
      "is {} ({} instead of {})",
      size_ratio(static_cast<double>(*before->bytes), static_cast<double>(*after->bytes)),
      format_bytes(*after->bytes), format_bytes(*before->bytes));
}

std::string Sentence::speed_change() const {
  if (base_.empty()) return {};
  std::string text;
  for (const Benchmark& benchmark : findings_.benchmarks) {
    for (const Timing& after : benchmark.timings) {
      if (after.model != model_) continue;
      for (const Timing& before : benchmark.timings) {
        if (before.model != base_ || before.threads != after.threads ||
            before.batch != after.batch) {
          continue;
        }
        text = fmt::format("{} ({} instead of {}, {} {}, batch {})",
                           speed_ratio(before.median_s, after.median_s),
                           format_duration(after.median_s), format_duration(before.median_s),
                           after.threads, after.threads == 1 ? "thread" : "threads", after.batch);
        return "is " + text;  // of several thread counts the first; the table has them all
      }
    }
  }
  return text;
}

std::string Sentence::training() const {
  if (making_ == nullptr || making_->epochs.empty()) return {};
  if (making_->best_epoch < 1) {
    return fmt::format("got no better in training ({} epochs) and is as it was",
                       making_->epochs.size());
  }
  const Epoch& best = making_->epochs[static_cast<size_t>(making_->best_epoch - 1)];
  if (!making_->labelled) {
    return fmt::format(
        "was nearest to the float model in epoch {} of {}: SQNR {:.1f} dB on {} "
        "validation samples",
        making_->best_epoch, making_->epochs.size(), best.validation_sqnr_db,
        group_digits(best.validation_samples));
  }
  return fmt::format("had its best validation accuracy, {} of {} samples, in epoch {} of {}",
                     format_percent(best.validation_accuracy),
                     group_digits(best.validation_samples), making_->best_epoch,
                     making_->epochs.size());
}

// The same was measured later, on as many samples at least: one of the two is told.
bool Sentence::measured_again(const ScoreTable& table, const Score& score) const {
  for (const ScoreTable& other : findings_.scores) {
    if (&other <= &table || other.metric != table.metric || other.output != table.output ||
        !other.against.empty()) {
      continue;
    }
    for (const Score& again : other.scores) {
      if (again.model == score.model && again.samples >= score.samples) return true;
    }
  }
  return false;
}

std::string Sentence::scores() const {
  std::vector<std::string> parts;
  for (const ScoreTable& table : findings_.scores) {
    if (!table.against.empty()) continue;
    for (const Score& score : table.scores) {
      if (score.model != model_ || measured_again(table, score)) continue;
      const std::string title = metric_title(table.metric) +
                                (table.output.empty() ? "" : fmt::format(" of '{}'", table.output));
      const std::string value = score.value ? format_in_unit(*score.value, table.unit, false) : "";
      if (score.difference) {
        const ScoreDifference& difference = *score.difference;
        const std::string_view verdict = say(verdict_of(difference, table.larger_is_better));
        parts.push_back(fmt::format(
            "{} changed by {}{}, n = {}{}{}", title, difference_text(difference, table.unit),
            difference.from == base_ ? "" : " from " + findings_.label(difference.from),
            group_digits(score.samples), verdict.empty() ? "" : ": ", verdict));
      } else if (score.value) {
        parts.push_back(fmt::format("{} is {}", title, score_text(score, table.unit)));
      }
    }
  }
  constexpr size_t kMost = 3;  // the table has them all
  if (parts.size() > kMost) parts.resize(kMost);
  return fmt::format("{}", fmt::join(parts, "; "));
}

// Without labels: how near the answers are to the other model's.
std::string Sentence::judged_by_another() const {
  std::map<std::string, const Score*> by_output;  // of several, that on most samples
  double least = INFINITY, most = -INFINITY, largest_error = -INFINITY;
  int64_t samples = 0;
  ModelName against;
  for (const ScoreTable& table : findings_.scores) {
    if (table.against.empty()) continue;
    for (const Score& score : table.scores) {
      if (score.model != model_ || !score.value) continue;
      against = table.against;
      samples = std::max(samples, score.samples);
      if (table.metric == "max_error") largest_error = std::max(largest_error, *score.value);
      if (table.metric != "sqnr") continue;
      const Score*& known = by_output[table.output];
      if (known == nullptr || known->samples < score.samples) known = &score;
    }
  }
  if (by_output.empty() && largest_error == 0) {
    return fmt::format("its answers equal those of {}, n = {}", findings_.label(against),
                       group_digits(samples));
  }
  if (by_output.empty()) return {};
  for (const auto& [output, score] : by_output) {
    least = std::min(least, *score->value);
    most = std::max(most, *score->value);
  }
  const std::string span = most - least < 0.05 ? fmt::format("{:.1f} dB", least)
                                               : fmt::format("{:.1f} to {:.1f} dB", least, most);
  return fmt::format("its answers keep an SQNR of {} to those of {}, n = {}", span,
                     findings_.label(against), group_digits(samples));
}

std::vector<std::string> Sentence::changes() const {
  std::vector<std::string> parts;
  for (std::string part : {size_change(), speed_change(), training()}) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  // "is 3.7 times smaller and is 2.1 times faster"
  if (parts.size() > 1 && parts[0].starts_with("is ") && parts[1].starts_with("is ")) {
    parts[1].erase(0, 3);
  }
  return parts;
}

std::string Sentence::text() const {
  const std::vector<std::string> parts = changes();
  std::vector<std::string> judged;
  for (std::string part : {scores(), judged_by_another()}) {
    if (!part.empty()) judged.push_back(std::move(part));
  }
  const std::string score = fmt::format("{}", fmt::join(judged, "; "));
  std::string text = subject();
  if (parts.empty()) {
    // "gave x, which": nothing follows.
    if (text.ends_with(", which")) text.erase(text.size() - 7);
    if (score.empty()) return making_ == nullptr ? "" : text + ".";
    return fmt::format("{}{} {}.", text, text.ends_with(",") ? "" : ":", score);
  }
  text += " " + parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    text += (i + 1 == parts.size() ? " and " : ", ") + parts[i];
  }
  return score.empty() ? text + "." : fmt::format("{}; {}.", text, score);
}

}  // namespace

std::string size_ratio(double before, double after) {
  return change_text(after / before, "larger", "smaller", "of the same size");
}

std::string speed_ratio(double before_s, double after_s) {
  return change_text(before_s / after_s, "faster", "slower", "as fast");
}

Verdict verdict_of(const ScoreDifference& difference, std::optional<bool> larger_is_better) {
  if (!difference.interval) return Verdict::none;
  const auto [low, high] = *difference.interval;
  if (low <= 0 && high >= 0) return Verdict::no_difference;
  if (difference.p_value.value_or(0) >= 0.05) return Verdict::disputed;
  if (!larger_is_better) return Verdict::different;
  return (low > 0) == *larger_is_better ? Verdict::better : Verdict::worse;
}

std::string_view say(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "";
    case Verdict::no_difference:
      return "no loss can be shown";
    case Verdict::better:
      return "a gain";
    case Verdict::worse:
      return "a loss";
    case Verdict::different:
      return "a difference";
    case Verdict::disputed:
      return "the exact test shows no difference";
  }
  return "";
}

std::string metric_title(const std::string& metric) {
  static const std::map<std::string, std::string> kTitles = {{"top1", "top-1 accuracy"},
                                                             {"top5", "top-5 accuracy"},
                                                             {"f1", "F1"},
                                                             {"auc", "AUC"},
                                                             {"miou", "mean IoU"},
                                                             {"mse", "mean squared error"},
                                                             {"sqnr", "SQNR"},
                                                             {"mae", "mean absolute error"},
                                                             {"cosine", "cosine"},
                                                             {"score", "the program's score"},
                                                             {"max_error", "largest error"},
                                                             {"agreement", "agreement"},
                                                             {"equal", "share of equal answers"}};
  const auto found = kTitles.find(metric);
  return found == kTitles.end() ? metric : found->second;
}

std::string score_text(const Score& score, MetricUnit unit, bool with_samples) {
  std::string text = "not a finite number";
  if (score.value) {
    text = format_in_unit(*score.value, unit, false);
    if (unit == MetricUnit::share) text += " %";
    if (unit == MetricUnit::decibels) text += " dB";
    if (score.interval) {
      text += fmt::format(" [{}, {}]", format_in_unit(score.interval->low, unit, false),
                          format_in_unit(score.interval->high, unit, false));
    }
  }
  return with_samples ? text + ", n = " + group_digits(score.samples) : text;
}

std::string difference_text(const ScoreDifference& difference, MetricUnit unit) {
  std::string text = format_in_unit(difference.value, unit, true);
  if (unit == MetricUnit::share) text += " points";
  if (unit == MetricUnit::decibels) text += " dB";
  if (difference.interval) {
    text += fmt::format(" [{}, {}]", format_in_unit(difference.interval->low, unit, true),
                        format_in_unit(difference.interval->high, unit, true));
  }
  return text;
}

std::string bits_text(const std::map<std::string, LayerBits>& layers) {
  if (layers.empty()) return {};
  const auto [weights, activations] = bits_used(layers);
  return kind_text(weights, "weights") + " and " + kind_text(activations, "activations");
}

std::string short_bits(const std::map<std::string, LayerBits>& layers) {
  if (layers.empty()) return "float";
  const auto [weights, activations] = bits_used(layers);
  const auto join = [](const std::set<int>& bits) {
    std::string text;
    for (const int one : bits) {
      text += (text.empty() ? "" : "/") + (one == 0 ? std::string("f32") : std::to_string(one));
    }
    return text;
  };
  return fmt::format("W{} A{}", join(weights), join(activations));
}

std::vector<std::string> sentences(const Findings& findings) {
  std::vector<std::string> list;
  for (const ModelFacts& facts : findings.models) {
    std::string text = Sentence(findings, facts.name).text();
    if (!text.empty()) list.push_back(std::move(text));
  }
  return list;
}

}  // namespace nibble::page
