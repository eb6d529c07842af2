// Bits for a latency: times of steps become times of layers, and what is chosen by them is timed
// itself. No test looks at a clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "base/random.h"
#include "nibble/error.h"
#include "quant/latency_search.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/rule_meter.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::RuleMeter;
using testing::timed;

TEST(layer_times, steps_of_no_layer_belong_to_the_layer_before_them_and_the_first_to_the_first) {
  const TimedNetwork network = timed(
      {{"x", true, 1}, {"a", false, 10}, {"add", false, 2}, {"b", false, 20}, {"y", true, 4}});
  const std::vector<TimedLayer> layers = {{"a", false}, {"b", false}};
  EXPECT_EQ(seconds_by_layer(network, layers), (std::vector<double>{13, 24}));
}

TEST(layer_times, a_conversion_at_a_border_is_what_the_layer_in_float_costs) {
  const TimedNetwork network =
      timed({{"a", false, 10}, {"v", true, 1}, {"b", false, 20}, {"w", true, 2}, {"c", false, 30}});
  const std::vector<TimedLayer> b_in_float = {{"a", false}, {"b", true}, {"c", false}};
  EXPECT_EQ(seconds_by_layer(network, b_in_float), (std::vector<double>{10, 23, 30}));
  const std::vector<TimedLayer> rest_in_float = {{"a", true}, {"b", false}, {"c", true}};
  EXPECT_EQ(seconds_by_layer(network, rest_in_float), (std::vector<double>{11, 20, 32}));
}

TEST(layer_times, they_add_up_to_the_whole_run) {
  TimedNetwork network = timed({{"a", false, 3}, {"b", false, 1}});
  network.median_s = 5;
  const std::vector<TimedLayer> layers = {{"a", false}, {"b", false}, {"folded away", false}};
  EXPECT_EQ(seconds_by_layer(network, layers), (std::vector<double>{3.75, 1.25, 0}));
}

// Layers with three options each (float, 8, 4), whose networks are known by their options. A layer
// in float beside one on codes takes `border` more.
struct Invented {
  std::vector<std::vector<double>> seconds, noise;
  double border = 0, spread = 0;
  mutable int networks = 0;

  Invented(size_t layers, uint64_t seed) {
    Random random(seed);
    for (size_t i = 0; i < layers; ++i) {
      const double base = 1e-4 * (1 + 9 * random.uniform());
      seconds.push_back({base * (0.5 + 2.5 * random.uniform()), base, base * 0.7});
      const double loud = std::exp(4 * random.uniform());
      noise.push_back({0, 1e-4 * loud, 1e-2 * loud});
    }
  }

  TimedNetwork time(const ChosenOptions& chosen) const {
    std::vector<TimedStep> steps;
    for (size_t i = 0; i < chosen.size(); ++i) {
      const bool crosses = i > 0 && (chosen[i] == 0) != (chosen[i - 1] == 0);
      if (crosses && border > 0) steps.push_back({"value" + std::to_string(i), true, border});
      steps.push_back({"layer" + std::to_string(i), false, seconds[i][chosen[i]]});
    }
    return timed(std::move(steps), spread);
  }
  double noise_of(const ChosenOptions& chosen) const {
    double sum = 0;
    for (size_t i = 0; i < chosen.size(); ++i) sum += noise[i][chosen[i]];
    return sum;
  }
  // The least noise of all choices that take no longer.
  double best_noise(double budget) const {
    double best = INFINITY;
    size_t all = 1;
    for (size_t i = 0; i < seconds.size(); ++i) all *= 3;
    for (size_t code = 0; code < all; ++code) {
      ChosenOptions chosen;
      for (size_t i = 0, rest = code; i < seconds.size(); ++i, rest /= 3)
        chosen.push_back(rest % 3);
      if (time(chosen).high_s <= budget) best = std::min(best, noise_of(chosen));
    }
    return best;
  }

  LatencyProblem problem() const {
    LatencyProblem made{.layers = {}, .noise = noise, .in_float = {}, .make = {}};
    for (size_t i = 0; i < seconds.size(); ++i) {
      made.layers.push_back("layer" + std::to_string(i));
      made.in_float.push_back({true, false, false});
    }
    made.make = [](const ChosenOptions& chosen) { return network_of(chosen); };
    return made;
  }
  static Graph network_of(const ChosenOptions& chosen) {
    Graph graph;
    for (const size_t option : chosen) graph.metadata["options"] += static_cast<char>('0' + option);
    return graph;
  }
};

class InventedMeter : public LatencyMeter {
 public:
  explicit InventedMeter(const Invented& invented) : invented_(invented) {}
  std::vector<TimedNetwork> time(std::span<const Graph> graphs) override {
    std::vector<TimedNetwork> times;
    for (const Graph& graph : graphs) {
      ChosenOptions chosen;
      for (const char digit : graph.metadata.at("options")) {
        chosen.push_back(static_cast<size_t>(digit - '0'));
      }
      EXPECT_TRUE(seen_.insert(chosen).second) << "a network is timed once";
      times.push_back(invented_.time(chosen));
    }
    return times;
  }
  std::string conditions() const override { return "an invented machine"; }

 private:
  const Invented& invented_;
  std::set<ChosenOptions> seen_;
};

struct Search {
  explicit Search(const Invented& invented)
      : layers(invented.seconds.size()),
        meter(invented),
        graphs{Invented::network_of(all(0)), Invented::network_of(all(1)),
               Invented::network_of(all(2))},
        search(invented.problem(), uniform(), meter) {}

  ChosenOptions all(size_t option) const { return ChosenOptions(layers, option); }
  std::vector<LatencyVariant> uniform() const {
    return {{all(0), &graphs[0]}, {all(1), &graphs[1]}, {all(2), &graphs[2]}};
  }

  size_t layers;
  InventedMeter meter;
  std::vector<Graph> graphs;
  LatencySearch search;
};

TEST(latency_search, finds_the_optimum_where_layers_do_not_meet) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Invented invented(6, seed);
    const double slow = invented.time(ChosenOptions(6, 1)).median_s;
    const double fast = invented.time(ChosenOptions(6, 2)).median_s;
    for (const double share : {0.05, 0.3, 0.6, 0.9}) {
      const double budget = fast + share * (slow - fast);
      Search one(invented);
      const auto found = one.search.run(budget);
      ASSERT_TRUE(found) << seed;
      EXPECT_LE(found->timed.high_s, budget);
      EXPECT_NEAR(found->noise, invented.best_noise(budget), 1e-12) << seed << " " << share;
      EXPECT_NEAR(found->predicted_s, found->timed.median_s, 1e-12);
      EXPECT_LE(one.search.networks(), 4);
    }
  }
}

TEST(latency_search, borders_are_found_out_and_the_budget_is_kept) {
  int same = 0, all = 0, wrong_at_first = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Invented invented(6, seed);
    invented.border = 5e-5;
    invented.spread = 0.002;
    const double budget = invented.time(ChosenOptions(6, 1)).median_s * 0.9;
    Search one(invented);
    const auto found = one.search.run(budget);
    if (!found) continue;
    EXPECT_LE(found->timed.high_s, budget) << seed;
    EXPECT_LE(one.search.networks(), 3 + 8);
    const double best = invented.best_noise(budget);
    EXPECT_GE(found->noise, best - 1e-12);
    same += found->noise <= 1.25 * best ? 1 : 0;
    wrong_at_first += one.search.networks() > 4 ? 1 : 0;
    ++all;
  }
  ASSERT_GT(all, 20);
  EXPECT_GT(wrong_at_first, 5) << "the first choice is not always right";
  EXPECT_GE(same, all * 8 / 10) << "and mostly the best is found, or nearly";
}

TEST(latency_search, an_interval_that_reaches_beyond_the_budget_does_not_keep_to_it) {
  Invented invented(5, 3);
  invented.spread = 0.03;
  const double budget = invented.time(ChosenOptions(5, 1)).median_s;
  Search one(invented);
  const auto found = one.search.run(budget);
  ASSERT_TRUE(found);
  EXPECT_LE(found->timed.median_s * 1.03, budget);
}

TEST(latency_search, where_nothing_is_fast_enough_the_fastest_is_known) {
  const Invented invented(5, 1);
  Search one(invented);
  EXPECT_FALSE(one.search.run(1e-6));
  ChosenOptions best;
  for (const auto& options : invented.seconds) {
    best.push_back(static_cast<size_t>(std::ranges::min_element(options) - options.begin()));
  }
  EXPECT_EQ(one.search.fastest().chosen, best);
}

struct Fixture {
  Graph graph = testing::residual();
  testing::Synthetic data{32, {3, 6, 6}};
  RangeReport ranges = analyze(graph, data);

  BitChoice choose(double budget_s, LatencyMeter& meter) const {
    return choose_bits(graph, ranges, data, {.latency_s = budget_s},
                       {.quantize = {.first_and_last_8bit = false}, .meter = &meter});
  }
};

double usual(const std::string&, int bits) { return bits == 0 ? 4e-3 : bits == 8 ? 2e-3 : 1e-3; }

TEST(choose_bits, keeps_to_a_latency_and_says_what_it_predicted_and_measured) {
  const Fixture f;
  RuleMeter meter(usual);
  double last_noise = INFINITY;
  for (const double budget : {3e-3, 4.5e-3, 6e-3, 8e-3, 10e-3}) {
    const BitChoice choice = f.choose(budget, meter);
    ASSERT_TRUE(choice.latency);
    EXPECT_EQ(choice.latency->budget_s, budget);
    EXPECT_LE(choice.latency->high_s, budget);
    EXPECT_NEAR(choice.latency->predicted_s, choice.latency->median_s, 1e-9);
    EXPECT_EQ(choice.latency->conditions, "a machine by a rule");
    const double noise = std::pow(10, -choice.point.sqnr_db / 10);
    EXPECT_LE(noise, last_noise) << "more time is no worse";
    last_noise = noise;
    double seconds = 0;
    for (const auto& [layer, bits] : choice.plan.layers) seconds += usual(layer, bits.weight_bits);
    EXPECT_NEAR(seconds, choice.latency->median_s, 1e-9);
    for (const FrontPoint& point : choice.front) EXPECT_TRUE(point.latency_s);
  }
}

TEST(choose_bits, a_layer_that_is_slower_on_codes_stays_in_float) {
  const Fixture f;
  const std::string slow = "conv2";
  RuleMeter meter([&](const std::string& layer, int bits) {
    return layer == slow ? (bits == 0 ? 1e-3 : 9e-3) : usual(layer, bits);
  });
  const BitChoice choice = f.choose(5e-3, meter);
  EXPECT_EQ(choice.plan.layers.at(slow).weight_bits, 0);
  EXPECT_FALSE(choice.activation_sensitivities.empty()) << "what its data cost counts too";
  const Graph made = quantize(f.graph, f.ranges, choice.plan, {.first_and_last_8bit = false});
  for (const NodeId id : made.nodes()) {
    if (made.node(id).name != slow) continue;
    EXPECT_FALSE(made.value(weight_of(made.node(id))).type.quant);
  }
}

TEST(choose_bits, an_impossible_latency_names_the_fastest_that_was_found) {
  const Fixture f;
  RuleMeter meter(usual);
  const std::string error = testing::error_of([&] { f.choose(1e-3, meter); });
  for (const char* part : {"a latency of 1 ms cannot be had", "takes 3 [3, 3] ms",
                           "3 layers of 4 bits", "--threads", "a machine by a rule"}) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  }
}

TEST(choose_bits, nothing_is_quantized_for_a_latency_that_float_keeps) {
  const Fixture f;
  RuleMeter meter(usual);
  const std::string error = testing::error_of([&] { f.choose(1, meter); });
  EXPECT_NE(error.find("the float network takes 12"), std::string::npos) << error;
}

TEST(choose_bits, a_latency_needs_something_that_measures) {
  const Fixture f;
  EXPECT_NE(testing::error_of([&] {
              choose_bits(f.graph, f.ranges, f.data, {.latency_s = 1}, {});
            }).find("ChooseOptions::meter"),
            std::string::npos);
}

}  // namespace
}  // namespace nibble
