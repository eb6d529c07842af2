#include "verbs/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"
#include "onnx/model_size.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/sample_runner.h"
#include "report/causes/figures.h"
#include "report/format.h"
#include "train/backend.h"
#include "verbs/provenance.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

// Decisions that the longest way up takes; each has its share of the error.
constexpr int kLooks = 7;
constexpr double kConfidence = 1 - 0.05 / kLooks;
constexpr double kUsuallyChanged = 0.03;  // answers that 8 and 4 bits change
// Decisions on more samples than these are no longer better for it.
constexpr int64_t kFewest = 512;  // enough for an SQNR
constexpr double kEnoughChanged = 0.12;
constexpr int kBisections = 3;
constexpr double kCloseBits = 0.5;  // between mixtures of which one keeps to the goal

// Average bits of the weights of all layers, those in float being 32.
double weight_bits(const Graph& model) {
  double bits = 0, weights = 0;
  visit_every_graph(model, [&](const Graph& graph, const std::string&) {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      if (!has_weight(graph, node)) continue;
      for (const size_t input : weight_inputs(node)) {
        const Value& weight = graph.value(node.input(input));
        if (!weight.is_constant()) continue;  // a product of activations
        const TensorType& type = weight.type;
        const auto count = static_cast<double>(type.shape.elements());
        bits += count * (type.quant ? type.quant->bits() : 32);
        weights += count;
      }
    }
  });
  return weights > 0 ? bits / weights : 0;
}

class Climb {
 public:
  Climb(const Graph& model, const SampleSource& data, const QuantizeSettings& given,
        const Goal& goal, const RunSettings& run, const LadderSink& told)
      : given_(given), goal_(goal), run_(run), told_(told) {
    calibration_.graph = prepare_model(model, given);
    data.settle({&calibration_.graph, 1});
    divide(data);
    record_ = record_of(model, calibration_.samples.get(), run.seed);
    given_ = settings_for(given, calibration_, run);
    reference_ = calibration_.graph;
    judge_.emplace(goal, reference_, deciding_, kConfidence, run);
    judge_->require_enough();
    announce();
    ranges_ = measure_ranges(calibration_, run);
    if (given_.rotate != Rotation::none) rotate_model(calibration_, ranges_, given_, run_);
    if (given_.smooth.any()) smooth_model(calibration_, ranges_, given_, run_);
  }

  Ladder run() {
    if (has_budget(given_)) {
      within_budget();
    } else if (attempt(setting(8), "on to 4 bits", "on to other ranges")) {
      below_eight_bits();
    } else if (!hopeless_) {
      mend_eight_bits();
    }
    ladder_.met = ladder_.rungs[ladder_.chosen].verdict.kept();
    if (!ladder_.met) ladder_.costs = costs();
    if (reporting_ != nullptr) {
      GoalJudge last(goal_, reference_, reporting_, 0.95, run_);
      ladder_.report = last.judge(ladder_.result.graph);
      store_score(ladder_.result.graph, *ladder_.report);
    }
    return std::move(ladder_);
  }

 private:
  struct Try {
    std::string name;
    QuantizeSettings settings;
    double average = 0;   // bits of weights, of a mixture
    bool smooth = false;  // of smoothed_, not of calibration_
  };

  void divide(const SampleSource& data) {
    if (!data.given()) {
      fail(ErrorCode::invalid_argument,
           "no data are given, on which it is decided what keeps to the goal: name them with "
           "--data or --input");
    }
    const Graph& graph = calibration_.graph;
    const std::shared_ptr<const Dataset> training = data.open(Split::train, &graph, run_.seed);
    // In the order in which quantize_model() draws them.
    const std::shared_ptr<const Dataset> drawn = draw_samples(graph, training, 0, run_.seed);
    const int64_t count = std::min(given_.calibration, drawn->size() / 2);
    if (count == 0) {
      fail(ErrorCode::invalid_data,
           "{}: some samples have to calibrate and others to decide: give at least two",
           training->describe());
    }
    calibration_.samples = slice(drawn, 0, count);
    deciding_ = slice(drawn, count, drawn->size());
    store_preprocess_of(calibration_.graph, *training);
    reporting_ = data.open(Split::validation, &graph, run_.seed);
    if (reporting_->size() == 0) reporting_ = nullptr;
  }

  void announce() {
    const auto enough =
        goal_.min_sqnr ? std::optional(kFewest) : judge_->samples_needed(kEnoughChanged);
    const int64_t most = std::max(enough.value_or(deciding_->size()), kFewest);
    if (deciding_->size() > most) {
      deciding_ = slice(deciding_, 0, most);
      judge_.emplace(goal_, reference_, deciding_, kConfidence, run_);
    }
    ladder_.calibration_samples = calibration_.samples->size();
    ladder_.decision_samples = deciding_->size();
    tell(
        fmt::format("{} training samples calibrate, {} others decide, by {:.1f} % intervals: {} "
                    "decisions at most, which err in 5 % of cases together",
                    calibration_.samples->size(), deciding_->size(), 100 * kConfidence, kLooks));
    if (const auto needed = judge_->samples_needed(kUsuallyChanged)) {
      tell(
          fmt::format("A drop of {} points can be told from {} samples on, if 3 % of the answers "
                      "change{}",
                      *goal_.max_drop, *needed,
                      *needed > deciding_->size() ? ": there are fewer, so that a good network "
                                                    "may be taken for one that is not"
                                                  : ""));
    }
    if (goal_.max_drop) {
      tell(
          "If the model was trained on these samples, its score on them, and what it loses, are "
          "no guide to new ones");
    }
  }

  // `bits` for the weights, as the caller wants all else.
  Try setting(int bits) const {
    Try result{.name = fmt::format("W{}", bits), .settings = given_};
    LayerBits& all = result.settings.plan.fallback;
    all.weight_bits = bits;
    if (all.activation_bits > 0) result.name += fmt::format("A{}", all.activation_bits);
    if (given_.options.rounding != "nearest") result.name += ", " + given_.options.rounding;
    return result;
  }

  static Try with_rounding(Try from, const std::string& rounding) {
    if (from.settings.options.rounding != rounding) from.name += ", " + rounding;
    from.settings.options.rounding = rounding;
    return from;
  }

  // By the roundings that may be tried, from cheap to expensive.
  bool attempt_roundings(const Try& what, const std::string& if_kept, const std::string& then) {
    const bool learns = given_.options.rounding == "nearest";
    if (attempt(what, if_kept, learns ? "on to rounding by what the data show" : then)) return true;
    if (!learns) return false;
    const bool trains = can_learn();
    return attempt(with_rounding(what, "gptq"), if_kept,
                   trains ? "on to rounding that is learned" : then) ||
           (trains && attempt(with_rounding(what, "brecq"), if_kept, then));
  }

  // The bits are those that the budget leads to.
  void within_budget() {
    constexpr int64_t kScoreBytes = 400;  // that store_score() adds
    ladder_.within_budget = true;
    choice_ = choose_for_budget(calibration_, ranges_, given_, run_, kScoreBytes);
    Try chosen = setting(8);
    chosen.settings.budget = {};
    chosen.settings.plan = choice_->plan;
    chosen.name = fmt::format("W{:.2f}{}", choice_->average_weight_bits, chosen.name.substr(2));
    attempt_roundings(chosen, "enough", "nothing is left to try within the budget");
  }

  void below_eight_bits() {
    if (attempt_roundings(setting(4), "nothing is smaller", "on to 8 and 4 bits mixed")) return;
    double low = 4, high = 8;
    for (int left = kBisections; left > 0 && high - low >= kCloseBits; --left) {
      const double wanted = (low + high) / 2;
      const std::optional<Try> mixed = mix(wanted);
      if (!mixed) return;
      const double got = std::min(wanted, mixed->average);
      const auto next = [&](double gap, const char* on) {
        return left > 1 && gap >= kCloseBits ? on : "near enough";
      };
      if (attempt(*mixed, next(got - low, "on to fewer bits"),
                  next(high - wanted, "on to more bits")))
        high = got;
      else
        low = wanted;
    }
  }

  // nullopt if no such average can be had.
  std::optional<Try> mix(double average) {
    Try mixed = setting(8);
    ChooseOptions options = choose_options(mixed.settings);
    options.quantize.rounding = "nearest";  // measured layer by layer: the order is the same
    try {
      const Budget budget{.average_weight_bits = average};
      BitChoice choice =
          choose_bits(calibration_.graph, ranges_, *calibration_.samples, budget, options);
      mixed.settings.plan = std::move(choice.plan);
      mixed.average = choice.average_weight_bits;
      mixed.name = fmt::format("W{:.2f}{} mixed", mixed.average, setting(4).name.substr(2));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalid_argument) throw;
      return std::nullopt;
    }
    return with_rounding(std::move(mixed), "gptq");
  }

  // Whether the training library is there; else it is said what is left out.
  bool can_learn() const {
    try {
      train_backend();
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
      tell(fmt::format("Rounding is not learned: {}", error.what()));
      return false;
    }
  }

  void mend_eight_bits() {
    const bool codes = given_.plan.fallback.activation_bits > 0;
    Try other = setting(8);
    if (other.settings.options.activation_observer != "min-max" && codes) {
      other.name += ", activations min-max";
      other.settings.options.activation_observer = "min-max";
      if (attempt(other, "enough", "on to evening out channels")) return;
    }
    other = setting(8);
    if (!given_.smooth.any() && codes) {
      other.settings.smooth = {.by_noise = true};
      smoothed_ = calibration_;
      smoothed_ranges_ = ranges_;
      other.smooth = smooth_model(smoothed_, smoothed_ranges_, other.settings, run_);
      if (other.smooth) {
        other.name += ", smooth auto";
        if (attempt(other, "enough", "on to rounding by what the data show")) return;
      } else {
        other = setting(8);
      }
    }
    if (given_.options.rounding == "nearest" &&
        attempt(with_rounding(std::move(other), "gptq"), "enough",
                "on to leaving the costliest layers in float")) {
      return;
    }
    leave_layers_in_float();
    if (ladder_.rungs[ladder_.chosen].verdict.kept() || !codes) return;
    Try alone = setting(8);
    alone.name = "W8";
    alone.settings.plan.fallback.activation_bits = 0;
    attempt(alone, "enough", "nothing is left to try");
  }

  // Of what came nearest.
  void leave_layers_in_float() {
    const Try base = nearest_;
    const std::vector<std::string> worst = costliest_layers();
    size_t tried = 0;
    for (const size_t most : {2, 6}) {
      const size_t count = std::min(most, worst.size());
      if (count == tried) return;
      tried = count;
      Try other = base;
      const std::span names(worst.data(), count);
      other.name += most == 2 ? fmt::format(", {} in float", fmt::join(names, " and "))
                              : fmt::format(", {} layers in float", count);
      auto& skip = other.settings.options.skip;
      skip.insert(skip.end(), names.begin(), names.end());
      if (attempt(other, "enough", most == 2 ? "on to more of them" : "on to weights alone"))
        return;
    }
  }

  // Of what came nearest.
  const std::vector<LayerFigures>& costs() {
    constexpr int64_t kSamples = 64;
    if (costs_of_ == ladder_.chosen) return costs_;
    const Quantized& made = ladder_.result;
    const std::vector<LayerError> errors =
        compare_layers(made.float_graph, made.graph, *calibration_.samples, kSamples,
                       {.threads = run_.threads, .progress = run_.progress});
    costs_ = layer_figures(made.float_graph, made.graph, made.ranges, errors);
    costs_of_ = ladder_.chosen;
    return costs_;
  }

  // By the noise that they add on samples of the calibration; not more than half of all.
  std::vector<std::string> costliest_layers() {
    std::vector<LayerFigures> figures = costs();
    std::ranges::stable_sort(figures, std::greater<>(), &LayerFigures::share);
    std::vector<std::string> names;
    for (const LayerFigures& layer : std::span(figures).first(figures.size() / 2)) {
      if (layer.share > 0) names.push_back(layer.node);
    }
    return names;
  }

  // Quantizes, judges, tells. The smallest that keeps to the goal is chosen; before there is one,
  // the nearest.
  bool attempt(const Try& what, const std::string& if_kept, const std::string& if_not) {
    const auto started = Clock::now();
    Quantized made{.float_graph = what.smooth ? smoothed_.graph : calibration_.graph,
                   .ranges = what.smooth ? smoothed_ranges_ : ranges_,
                   .plan = what.settings.plan,
                   .graph = {},
                   .report = {},
                   .target = what.settings.options.target,
                   .choice = choice_};
    made.graph =
        quantize(made.float_graph, made.ranges, made.plan, what.settings.options, &made.report);
    require_quantized(made);
    store_provenance(made, record_, what.settings);
    Rung rung{.setting = what.name,
              .bytes = size_as_onnx(made.graph, find_target(made.target)),
              .weight_bits = weight_bits(made.graph),
              .verdict = judge_->judge(made.graph)};
    const bool kept = rung.verdict.kept();
    rung.next = kept ? if_kept : if_not;
    // Not worse than the float model: no setting makes the interval narrower.
    const bool too_few = !kept && rung.verdict.would_decide && rung.verdict.loss <= 0;
    if (too_few) rung.next = "more samples would decide, no other setting";
    hopeless_ = hopeless_ || too_few;
    rung.seconds = std::chrono::duration<double>(Clock::now() - started).count();
    ladder_.rungs.push_back(rung);
    const Rung& best = ladder_.rungs[ladder_.chosen];
    const bool first = ladder_.rungs.size() == 1;
    const bool better = kept ? !best.verdict.kept() || rung.bytes <= best.bytes
                             : !best.verdict.kept() && rung.verdict.margin > best.verdict.margin;
    if (first || better) {
      ladder_.chosen = ladder_.rungs.size() - 1;
      nearest_ = what;
      ladder_.result = std::move(made);
    }
    tell(rung_text(rung));
    return kept;
  }

  void tell(const std::string& sentence) const {
    if (told_) told_(sentence);
  }

  QuantizeSettings given_;
  Goal goal_;
  RunSettings run_;
  LadderSink told_;
  Calibration calibration_;
  QuantizationRecord record_;
  Graph reference_;  // the float network
  std::shared_ptr<const Dataset> deciding_, reporting_;
  std::optional<GoalJudge> judge_;
  RangeReport ranges_;
  Calibration smoothed_;
  RangeReport smoothed_ranges_;
  std::optional<BitChoice> choice_;  // where a budget decides
  std::vector<LayerFigures> costs_;  // of a rung
  std::optional<size_t> costs_of_;
  bool hopeless_ = false;  // there are too few samples
  Ladder ladder_;
  Try nearest_;  // of the rung that is chosen
};

}  // namespace

Ladder climb(const Graph& model, const SampleSource& data, const QuantizeSettings& settings,
             const Goal& goal, const RunSettings& run, const LadderSink& told) {
  check(goal.given(), "there is a goal");
  if (settings.options.dynamic || settings.plan.fallback.weight_bits != LayerBits{}.weight_bits) {
    fail(ErrorCode::invalid_argument,
         "--max-drop and --min-sqnr decide the bits of weights: leave --weights and --dynamic out");
  }
  return Climb(model, data, settings, goal, run, told).run();
}

std::string missed_text(const Ladder& ladder) {
  const Rung& nearest = ladder.rungs[ladder.chosen];
  std::string text =
      fmt::format("nothing keeps to the goal; what is nearest, {}, misses it by {:.3g}{}",
                  nearest.setting, -nearest.verdict.margin,
                  nearest.verdict.unit == MetricUnit::decibels ? " dB"
                  : nearest.verdict.unit == MetricUnit::share  ? " points"
                                                               : "");
  if (const auto samples = nearest.verdict.would_decide) {
    text += fmt::format(
        ", and its interval is what is too wide: with {} samples it would keep to it", *samples);
  }
  if (ladder.within_budget) text += "; a larger budget would leave the weights more bits";
  return text;
}

std::string rung_text(const Rung& rung) {
  const Verdict& v = rung.verdict;
  return fmt::format("{}: {}, {}, {}: {}; {}", rung.setting,
                     format_bytes(static_cast<uint64_t>(rung.bytes)), format_duration(rung.seconds),
                     verdict_text(v),
                     v.kept()         ? "kept"
                     : v.would_decide ? "undecided"
                                      : "missed",
                     rung.next);
}

}  // namespace nibble
