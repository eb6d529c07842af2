// What a quantized model says of how it was made, and making it again.
#include "verbs/provenance.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/train.h"
#include "onnx/model_size.h"
#include "support/errors.h"
#include "support/rule_meter.h"
#include "verbs/ladder.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

Graph network(uint64_t seed = 3) { return build_architecture("digits-cnn", {1, 8, 8}, 10, seed); }
SampleSource digits() { return {.spec = "digits"}; }

Quantized made(const QuantizeSettings& settings, uint64_t seed = 0) {
  return quantize_model(network(), digits(), settings, {.threads = 1, .seed = seed});
}

// As a file, and read from it.
Graph from_file(const Graph& graph) { return parse_onnx(serialize_onnx(graph)); }

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(provenance, says_with_what_the_model_was_made) {
  QuantizeSettings settings{.calibration = 40};
  settings.plan.fallback.weight_bits = 4;
  settings.plan.layers["block2.conv"] = {8, 8};
  settings.options.activation_observer = "min-max";
  settings.options.rounding = "gptq";
  const auto provenance = provenance_of(from_file(made(settings, 7).graph));
  ASSERT_TRUE(provenance.has_value());
  const Json& step = (*provenance)["steps"][0];
  EXPECT_EQ(step["verb"], "quantize");
  EXPECT_EQ(step["seed"], 7);
  EXPECT_EQ(step["samples"], 40);
  EXPECT_EQ(step["model"], digest_of_network(network()));
  EXPECT_EQ(step["options"], Json::parse(R"({"weights": "4", "activation_observer": "min-max",
      "rounding": "gptq", "calibration": 40, "layers": {"block2.conv": {"weights": "8"}}})"));
}

TEST(provenance, the_same_bytes_come_of_it_again) {
  std::vector<QuantizeSettings> all(5, {.calibration = 40});
  all[1].plan.fallback = {4, 4};
  all[1].options.rounding = "gptq";
  all[2].budget.average_weight_bits = 5;
  all[3].options.dynamic = true;
  all[4].smooth = {.share = 0.5};
  all[4].options.skip = {"block3.conv"};
  for (const QuantizeSettings& settings : all) {
    const std::string file = serialize_onnx(made(settings, 2).graph);
    const Reproduction again = reproduce(parse_onnx(file), network(), digits(), {.threads = 2});
    EXPECT_EQ(again.differences, std::vector<std::string>{});
    EXPECT_EQ(serialize_onnx(again.result.graph), file) << settings_to_json(settings);
  }
}

TEST(provenance, of_a_ladder_holds_the_rung_that_was_chosen_and_its_score) {
  const Ladder ladder =
      climb(network(), digits(), {.calibration = 60}, {.min_sqnr = 5}, {.threads = 1});
  const std::string file = serialize_onnx(ladder.result.graph);
  const auto provenance = provenance_of(parse_onnx(file));
  const Json& step = (*provenance)["steps"][0];
  EXPECT_EQ(step["options"]["weights"], "4");
  ASSERT_EQ(step["scores"].size(), 1U);
  EXPECT_EQ(step["scores"][0]["samples"], ladder.report->samples);
  EXPECT_EQ(step["scores"][0]["interval"].size(), 2U);
  const Reproduction again = reproduce(parse_onnx(file), network(), digits(), {.threads = 1});
  EXPECT_EQ(serialize_onnx(again.result.graph), file);
}

// As if integers were slow in the first layer.
double invented_seconds(const std::string& layer, int bits) {
  if (layer == "block1.conv") return bits == 0 ? 1e-3 : 5e-3;
  return bits == 0 ? 4e-3 : bits == 8 ? 2e-3 : 1e-3;
}

class NoMeter : public LatencyMeter {
 public:
  std::vector<TimedNetwork> time(std::span<const Graph>) override {
    ADD_FAILURE() << "nothing is timed again";
    return {};
  }
  std::string conditions() const override { return {}; }
};

TEST(provenance, bits_chosen_by_latency_are_recorded_and_replayed_without_a_clock) {
  testing::RuleMeter meter(invented_seconds);
  QuantizeSettings settings{.calibration = 40};
  settings.options.first_and_last_8bit = false;
  settings.budget.latency_s = 8e-3;
  const Quantized result =
      quantize_model(network(), digits(), settings, {.threads = 1, .meter = &meter});
  ASSERT_TRUE(result.choice && result.choice->latency);
  const std::string file = serialize_onnx(result.graph);
  const auto provenance = provenance_of(parse_onnx(file));
  const Json& step = (*provenance)["steps"][0];
  EXPECT_EQ(step["options"]["layers"]["block1.conv"]["weights"], "none") << step.dump();
  EXPECT_FALSE(step["options"].contains("max_latency_s"));
  EXPECT_EQ(step["latency"]["budget_s"], 8e-3);
  EXPECT_EQ(step["latency"]["conditions"], "a machine by a rule");
  NoMeter none;
  const Reproduction again =
      reproduce(parse_onnx(file), network(), digits(), {.threads = 1, .meter = &none});
  EXPECT_EQ(again.differences, std::vector<std::string>{});
  EXPECT_EQ(serialize_onnx(again.result.graph), file);
}

TEST(range_report, one_file_serves_every_target_and_gives_what_measuring_gives) {
  const std::string file = to_json(analyze_model(network(), digits(), 40, {.threads = 1}));
  const RangeReport ranges = range_report_from_json(file);
  for (const Choice& target : target_choices()) {
    for (const char* observer : {"mse", "percentile", "moving-average", "entropy"}) {
      QuantizeSettings settings{.calibration = 40};
      settings.options.target = target.name;
      settings.options.activation_observer = observer;
      Quantized read = quantize_model(network(), {}, settings, {.threads = 1}, &ranges);
      Quantized measured = quantize_model(network(), digits(), settings, {.threads = 1});
      // But for what they say of how they were made, and of the data.
      read.graph.metadata = measured.graph.metadata;
      const Target& row = find_target(target.name);
      EXPECT_EQ(serialize_onnx(read.graph, row), serialize_onnx(measured.graph, row))
          << target.name << ", " << observer;
    }
  }
}

TEST(range_report, of_another_model_is_refused_and_its_use_is_recorded) {
  const RangeReport ranges = analyze_model(network(), digits(), 40, {.threads = 1});
  const auto quantized = [&](const Graph& model) {
    return quantize_model(model, {}, {.calibration = 40}, {.threads = 1}, &ranges);
  };
  expect_part(testing::error_of([&] { quantized(network(4)); }),
              "the ranges are those of another model: weight '");
  const std::string file = serialize_onnx(quantized(network()).graph);
  expect_part(
      testing::error_of([&] { reproduce(parse_onnx(file), network(), {}, {.threads = 1}); }),
      "give the same with --ranges");
  const Reproduction again = reproduce(parse_onnx(file), network(), {}, {.threads = 1}, &ranges);
  EXPECT_EQ(again.differences, std::vector<std::string>{});
  EXPECT_EQ(serialize_onnx(again.result.graph), file);
  RangeReport other = ranges;
  other.samples += 1;
  const Reproduction told = reproduce(parse_onnx(file), network(), {}, {.threads = 1}, &other);
  ASSERT_EQ(told.differences.size(), 1U);
  expect_part(told.differences[0], "Another range report");
}

TEST(provenance, another_model_and_other_samples_are_told) {
  const Graph quantized = from_file(made({.calibration = 40}).graph);
  const Reproduction other = reproduce(quantized, network(4), digits(), {.threads = 1});
  ASSERT_EQ(other.differences.size(), 1U);
  expect_part(other.differences[0], "Another float model");
  SampleSource part = digits();
  part.only = Split::validation;
  const Reproduction fewer = reproduce(quantized, network(), part, {.threads = 1});
  ASSERT_EQ(fewer.differences.size(), 1U);
  expect_part(fewer.differences[0], "Other samples");
}

TEST(provenance, does_not_hang_on_what_a_file_says_beside_the_network) {
  Graph same = network();
  same.metadata["author"] = "somebody";
  EXPECT_EQ(digest_of_network(same), digest_of_network(network()));
  EXPECT_NE(digest_of_network(network(4)), digest_of_network(network()));
}

TEST(provenance, is_part_of_the_size_that_a_budget_keeps_to) {
  QuantizeSettings settings{.calibration = 40};
  const int64_t eight = size_as_onnx(made(settings).graph, default_target());
  for (const double share : {0.99, 0.9, 0.8}) {
    settings.budget.file_bytes = static_cast<int64_t>(share * static_cast<double>(eight));
    EXPECT_LE(size_as_onnx(made(settings).graph, default_target()), *settings.budget.file_bytes);
  }
}

TEST(provenance, that_is_missing_or_broken_is_told) {
  Graph graph = network();
  expect_part(testing::error_of([&] { reproduce(graph, network(), digits(), {}); }),
              "does not say how it was made");
  graph.metadata["nibble.provenance"] = "nonsense";
  expect_part(testing::error_of([&] { provenance_of(graph); }), "got 'nonsense'");
  graph.metadata["nibble.provenance"] = R"({"steps": [{"verb": "quantize"}]})";
  expect_part(testing::error_of([&] { reproduce(graph, network(), digits(), {}); }),
              "the options are missing");
}

}  // namespace
}  // namespace nibble
