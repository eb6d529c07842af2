// Bit-widths per layer from measured sensitivities and a budget.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/check.h"
#include "nibble/quantize.h"
#include "passes/pass.h"
#include "quant/bit_costs.h"
#include "quant/candidates.h"
#include "quant/knapsack.h"
#include "quant/latency_search.h"
#include "quant/one_layer.h"
#include "quant/output_probe.h"
#include "ranges/grid.h"

namespace nibble {
namespace {

double power_of(double sqnr) { return std::pow(10.0, -sqnr / 10); }

class Chooser {
 public:
  Chooser(const Graph& graph, const RangeReport& ranges, const Dataset& data,
          const ChooseOptions& options, bool in_float)
      : graph_(prepare_for_quantization(graph)),
        ranges_(ranges),
        data_(data),
        options_(options),
        candidates_(find_candidates(graph_, options, in_float)),
        variants_(graph_, ranges, data, candidates_, options),
        operations_(graph_, candidates_, options) {}

  BitChoice within(const Budget& budget) {
    // Before what takes long: it says that there are no bit operations.
    const Costs costs = find_costs(budget, candidates_, variants_, operations_, options_);
    measure_sensitivities();
    std::vector<std::vector<KnapsackOption>> items;
    for (size_t i = 0; i < noise_.size(); ++i) {
      items.emplace_back();
      for (size_t k = 0; k < noise_[i].size(); ++k) {
        items[i].push_back({costs.of[i][k], noise_[i][k]});
      }
    }
    const auto chosen = solve_knapsack(items, costs.available());
    if (!chosen) refuse(budget, costs, candidates_);
    choice_.budget = budget;
    take(items, *chosen, [&](FrontPoint& point, int64_t cost) {
      if (budget.file_bytes) point.file_bytes = costs.fixed + cost;
    });
    return std::move(choice_);
  }

  BitChoice within_latency(double budget_s, LatencyMeter& meter) {
    measure_sensitivities();
    std::vector<LatencyVariant> uniform;
    for (const auto& [bits, graph] : variants_.all()) {
      uniform.push_back({Variants::chosen_in(bits, candidates_), &graph});
    }
    // What never ran has no choice left.
    for (LatencyVariant& variant : uniform) {
      for (size_t i = 0; i < noise_.size(); ++i) {
        variant.chosen[i] = std::min(variant.chosen[i], noise_[i].size() - 1);
      }
    }
    LatencySearch search(latency_problem(), uniform, meter);
    const auto found = search.run(budget_s);
    if (!found) refuse_latency(budget_s, search, meter);
    if (in_float(found->chosen) == std::ssize(found->chosen)) {
      fail(ErrorCode::invalid_argument,
           "nothing has to be quantized: the float network takes {}, which is within {}; ask for "
           "less with --max-latency, or leave it out ({})",
           time_text(found->timed), milliseconds(budget_s), meter.conditions());
    }
    choice_.budget.latency_s = budget_s;
    take(search.items(), found->chosen, [](FrontPoint& point, int64_t cost) {
      point.latency_s = static_cast<double>(cost) * kNanosecond;
    });
    choice_.latency = ChosenLatency{.budget_s = budget_s,
                                    .predicted_s = found->predicted_s,
                                    .median_s = found->timed.median_s,
                                    .low_s = found->timed.low_s,
                                    .high_s = found->timed.high_s,
                                    .runs = found->timed.runs,
                                    .networks = search.networks(),
                                    .conditions = meter.conditions()};
    return std::move(choice_);
  }

 private:
  // By layer and option, the power of the noise that it adds to the output.
  void measure_sensitivities() {
    const OutputProbe probe(graph_, data_, options_.samples, options_.quantize.threads);
    const bool may_be_float =
        std::ranges::any_of(candidates_.bits, [](const auto& bits) { return bits[0] == kFloat; });
    std::optional<LayerActivations> activations;
    if (may_be_float && options_.activation_bits > 0) {
      activations.emplace(graph_, variants_.all().rbegin()->second, candidates_.layers);
    }
    for (size_t i = 0; i < candidates_.layers.size(); ++i) {
      const Layer& layer = candidates_.layers[i];
      const double of_data = activations ? noise_of_activations(probe, *activations, i) : 0;
      std::vector<double> noise;
      for (const int bits : candidates_.bits[i]) {
        if (bits == kFloat) {
          noise.push_back(0);
          continue;
        }
        const double sqnr = probe.sqnr_of(with_weights_of(graph_, variants_.at(bits), layer));
        choice_.sensitivities.push_back({layer.name, bits, sqnr, candidates_.weights[i]});
        noise.push_back(power_of(sqnr) + of_data);
      }
      // Of a body that never ran nothing was measured: its layers stay as they are.
      const bool silent =
          std::ranges::all_of(noise, [](double power) { return power <= power_of(sqnr_db(1, 0)); });
      if (silent && is_in_body(graph_, layer)) noise.resize(1);
      noise_.push_back(std::move(noise));
      report_progress(options_.progress, "measuring sensitivity", static_cast<int64_t>(i) + 1,
                      static_cast<int64_t>(candidates_.layers.size()));
    }
  }

  double noise_of_activations(const OutputProbe& probe, const LayerActivations& activations,
                              size_t i) {
    const Layer& layer = candidates_.layers[i];
    const double share = activations.share_of(layer.name);
    if (share == 0) return 0;
    const double sqnr = probe.sqnr_of(activations.with_activations_of(graph_, layer.name),
                                      Arithmetic::fake_quantize);
    choice_.activation_sensitivities.push_back(
        {layer.name, layer.bits.activation_bits, sqnr, candidates_.weights[i]});
    return share * power_of(sqnr);
  }

  LatencyProblem latency_problem() const {
    LatencyProblem problem{.layers = {}, .noise = noise_, .in_float = {}, .make = {}};
    for (size_t i = 0; i < candidates_.layers.size(); ++i) {
      problem.layers.push_back(candidates_.layers[i].name);
      problem.in_float.emplace_back();
      for (const int bits : candidates_.bits[i]) problem.in_float[i].push_back(bits == kFloat);
    }
    problem.make = [this](const ChosenOptions& chosen) {
      return quantize(graph_, ranges_, plan_of(candidates_, chosen, options_),
                      options_of_variants(options_, data_));
    };
    return problem;
  }

  using Items = std::vector<std::vector<KnapsackOption>>;
  // Adds to a point what its options cost in the unit of the budget.
  using InBudget = std::function<void(FrontPoint&, int64_t cost)>;

  FrontPoint point_of(const Items& items, const std::vector<size_t>& chosen,
                      const InBudget& in_budget) const {
    FrontPoint point{.average_weight_bits = candidates_.average_bits(chosen),
                     .file_bytes = {},
                     .bit_operations = operations_.of_network(chosen),
                     .latency_s = {},
                     .weight_bits = {}};
    int64_t cost = 0;
    double noise = 0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      cost += items[i][chosen[i]].cost;
      noise += items[i][chosen[i]].loss;
      point.weight_bits[candidates_.layers[i].name] = candidates_.bits_of(i, chosen);
    }
    point.sqnr_db = sqnr_db(1, noise);
    in_budget(point, cost);
    return point;
  }

  void take(const Items& items, const std::vector<size_t>& chosen, const InBudget& in_budget) {
    constexpr size_t kPoints = 200;
    choice_.plan = plan_of(candidates_, chosen, options_);
    choice_.point = point_of(items, chosen, in_budget);
    choice_.average_weight_bits = choice_.point.average_weight_bits;
    for (const KnapsackPoint& one : knapsack_front(items, kPoints)) {
      choice_.front.push_back(point_of(items, one.chosen, in_budget));
    }
  }

  int64_t in_float(const std::vector<size_t>& chosen) const {
    int64_t count = 0;
    for (size_t i = 0; i < chosen.size(); ++i) {
      count += candidates_.bits_of(i, chosen) == kFloat ? 1 : 0;
    }
    return count;
  }

  static std::string milliseconds(double seconds) {
    return fmt::format("{:.4g} ms", 1e3 * seconds);
  }
  static std::string time_text(const TimedNetwork& timed) {
    return fmt::format("{:.4g} [{:.4g}, {:.4g}] ms (median of {} runs, 95 %)", 1e3 * timed.median_s,
                       1e3 * timed.low_s, 1e3 * timed.high_s, timed.runs);
  }

  // "2 layers in float, 17 of 4 bits, 2 of 8 bits".
  std::string bits_text(const std::vector<size_t>& chosen) const {
    std::map<int, int> layers;
    for (size_t i = 0; i < chosen.size(); ++i) ++layers[candidates_.bits_of(i, chosen)];
    std::string text;
    for (const auto& [bits, count] : layers) {
      text += fmt::format("{}{}{}", text.empty() ? "" : ", ", count,
                          text.empty() ? (count == 1 ? " layer" : " layers") : "");
      text += bits == kFloat ? " in float" : fmt::format(" of {} bits", bits);
    }
    return text;
  }

  [[noreturn]] void refuse_latency(double budget_s, const LatencySearch& search,
                                   const LatencyMeter& meter) const {
    const LatencySearch::Found& fastest = search.fastest();
    fail(
        ErrorCode::invalid_argument,
        "a latency of {} cannot be had: the fastest of {} networks that were timed, with {}, takes "
        "{}; ask for that, give it more threads (--threads), or start from a smaller network ({})",
        milliseconds(budget_s), search.networks(), bits_text(fastest.chosen),
        time_text(fastest.timed), meter.conditions());
  }

  const Graph graph_;
  const RangeReport& ranges_;
  const Dataset& data_;
  const ChooseOptions& options_;
  const Candidates candidates_;
  const Variants variants_;
  const BitOperations operations_;
  std::vector<std::vector<double>> noise_;  // by layer and option
  BitChoice choice_;
};

void check_budget(const Budget& budget, const ChooseOptions& options) {
  const int given = int{budget.average_weight_bits.has_value()} +
                    int{budget.file_bytes.has_value()} + int{budget.bit_operations.has_value()} +
                    int{budget.latency_s.has_value()};
  if (given != 1) {
    fail(ErrorCode::invalid_argument,
         "a budget is an average of bits, a file size, a number of bit operations or a latency, "
         "exactly one of them");
  }
  if (options.quantize.dynamic) {
    fail(ErrorCode::invalid_argument, "dynamic quantization is 8 bits: there is nothing to choose");
  }
  if (budget.latency_s && options.meter == nullptr) {
    fail(ErrorCode::invalid_argument,
         "a latency is kept where something measures it: ChooseOptions::meter is not set");
  }
}

}  // namespace

BitChoice choose_bits(const Graph& graph, const RangeReport& ranges, const Dataset& data,
                      const Budget& budget, const ChooseOptions& options) {
  check_budget(budget, options);
  Chooser chooser(graph, ranges, data, options, budget.latency_s.has_value());
  return budget.latency_s ? chooser.within_latency(*budget.latency_s, *options.meter)
                          : chooser.within(budget);
}

}  // namespace nibble
