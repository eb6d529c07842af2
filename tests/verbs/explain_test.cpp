// Remedies that causes name, tried on a model that says how it was made.
#include "verbs/explain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "nibble/train.h"
#include "report/causes/causes.h"
#include "support/errors.h"
#include "verbs/judge.h"
#include "verbs/provenance.h"

namespace nibble {
namespace {

const SampleSource kData{.spec = "digits"};
const RunSettings kRun{.threads = 1};

Graph network() { return build_architecture("digits-cnn", {1, 8, 8}, 10, 3); }

Quantized quantized(int weight_bits) {
  QuantizeSettings settings{.calibration = 64};
  settings.plan.fallback.weight_bits = weight_bits;
  return quantize_model(network(), kData, settings, kRun);
}

std::vector<LayerFigures> costs_of(const Graph& graph) {
  return compare_models({.name = "a", .graph = network(), .data = nullptr},
                        {.name = "b", .graph = graph, .data = nullptr}, kData, 32, kRun)
      .costs;
}

TEST(explain, tries_what_the_costliest_layers_name_and_says_what_it_gave) {
  const Graph graph = quantized(2).graph;
  const std::vector<LayerFigures> costs = costs_of(graph);
  const Explanation told = explain(graph, network(), costs, kData, 64, kRun);
  ASSERT_FALSE(told.tried.empty());
  ASSERT_FALSE(told.outputs.empty());
  const MetricReport& output = told.outputs[0];
  ASSERT_EQ(output.models.size(), told.tried.size() + 2);
  for (size_t i = 0; i < told.tried.size(); ++i) {
    const TriedRemedy& one = told.tried[i];
    EXPECT_EQ(output.models[i + 2].samples, output.models[1].samples) << "of the same samples";
    EXPECT_GT(one.bytes, told.bytes) << "2 bits became 8";
    for (const std::string& node : one.nodes) {
      EXPECT_NE(one.settings.find(node), std::string::npos) << one.settings;
    }
  }
}

TEST(explain, tries_all_of_them_together_where_there_are_several) {
  const Graph graph = quantized(2).graph;
  const Explanation told = explain(graph, network(), costs_of(graph), kData, 64, kRun);
  ASSERT_GT(told.tried.size(), 2U);
  const TriedRemedy& all = told.tried.back();
  EXPECT_EQ(all.remedy, "all of these");
  EXPECT_TRUE(all.settings.empty());
  for (const TriedRemedy& one : told.tried) EXPECT_LE(one.bytes, all.bytes);
  EXPECT_GT(told.outputs[0].differences.back().interval.low, 0) << "paired";
}

TEST(explain, every_setting_that_a_cause_names_is_one_of_quantization) {
  for (const int bits : {8, 4, 3, 2}) {
    for (const LayerFigures& layer : costs_of(quantized(bits).graph)) {
      const auto cause = cause_of(layer);
      if (!cause || cause->settings.empty()) continue;
      QuantizeSettings settings;
      settings.plan.fallback = {.weight_bits = 4, .activation_bits = 4};
      const std::string before = settings_to_json(settings).dump();
      apply_settings_json(cause->settings, settings);
      EXPECT_NE(settings_to_json(settings).dump(), before) << cause->settings;
    }
  }
}

TEST(explain, a_model_that_does_not_say_how_it_was_made_is_refused) {
  Graph graph = quantized(4).graph;
  const std::vector<LayerFigures> costs = costs_of(graph);
  graph.metadata.clear();
  const std::string error =
      testing::error_of([&] { explain(graph, network(), costs, kData, 64, kRun); });
  EXPECT_NE(error.find("does not say how it was made"), std::string::npos) << error;
}

}  // namespace
}  // namespace nibble
