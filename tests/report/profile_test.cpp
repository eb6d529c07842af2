#include "nibble/profile.h"

#include <cmath>

#include "nibble/data.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "report/page/page.h"
#include "report/page_support.h"
#include "support/errors.h"
#include "support/synthetic_data.h"
#include "verbs/profile.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::expect_part;

Graph digits_network() { return build_architecture("digits-cnn", {1, 8, 8}, 10, 1); }

Graph quantized_digits(const LayerBits& bits, std::vector<std::string> skip = {}) {
  const Graph prepared = prepare_for_quantization(digits_network());
  const auto data = slice(open_dataset("digits", {}), 0, 8);
  QuantizeOptions options;
  options.skip = std::move(skip);
  return quantize(prepared, analyze(prepared, *data), {.fallback = bits, .layers = {}}, options);
}

const ProfiledStep* find(const NetworkProfile& profile, std::string_view op) {
  for (const ProfiledStep& step : profile.steps) {
    if (step.step.op == op) return &step;
  }
  return nullptr;
}

// A step as profile() would give it.
ProfiledStep step_of(const std::string& node, StepKind kind, double seconds,
                     DType arithmetic = DType::i8) {
  ProfiledStep one{.step = {.node = node, .op = "Conv", .kind = kind, .arithmetic = arithmetic},
                   .median_s = seconds};
  if (arithmetic == DType::f32 && computes(kind)) one.why_float = "its weight is in float";
  return one;
}

NetworkProfile profile_of(std::vector<ProfiledStep> steps) {
  NetworkProfile profile{.steps = std::move(steps),
                         .peak = {.int8 = 400e9, .int16 = 200e9, .f32 = 100e9, .copy = 10e9}};
  for (const ProfiledStep& step : profile.steps) profile.steps_s += step.median_s;
  for (ProfiledStep& step : profile.steps) step.share = step.median_s / profile.steps_s;
  return profile;
}

TEST(profile, times_add_up_and_rates_follow_from_them) {
  const NetworkProfile measured = profile(quantized_digits({}), {.batch = 4, .runs = 20});
  EXPECT_EQ(measured.runs, 20);
  EXPECT_EQ(measured.batch, 4);
  EXPECT_TRUE(measured.quantized);
  double seconds = 0, share = 0;
  for (const ProfiledStep& one : measured.steps) {
    seconds += one.median_s;
    share += one.share;
    EXPECT_EQ(one.step.runs.size(), 1U) << one.step.node;
    EXPECT_EQ(one.operations.has_value(), one.step.macs > 0) << one.step.node;
    if (one.operations) {
      EXPECT_DOUBLE_EQ(*one.operations, 2 * static_cast<double>(one.step.macs) / one.median_s);
    }
    ASSERT_TRUE(one.step.read_bytes.has_value()) << one.step.node;
  }
  EXPECT_DOUBLE_EQ(seconds, measured.steps_s);
  EXPECT_NEAR(share, 1, 1e-9);
  EXPECT_GT(measured.whole_s, 0);
  EXPECT_GT(measured.peak.copy, 0);
  double of_kinds = 0;
  int steps = 0;
  for (const KindTotal& total : totals_by_kind(measured)) {
    of_kinds += total.seconds;
    steps += total.steps;
  }
  EXPECT_NEAR(of_kinds, measured.steps_s, 1e-9);
  EXPECT_EQ(steps, std::ssize(measured.steps));
}

TEST(profile, a_float_model_says_that_it_is_not_quantized) {
  const NetworkProfile measured = profile(digits_network(), {.runs = 2});
  const ProfiledStep* conv = find(measured, "Conv");
  ASSERT_NE(conv, nullptr);
  EXPECT_FALSE(measured.quantized);
  EXPECT_EQ(conv->why_float, "no layer of the model is quantized");
  EXPECT_EQ(conv->remedy, "nibble quantize");
}

TEST(profile, a_layer_that_was_skipped_says_so_and_integer_layers_give_no_reason) {
  const NetworkProfile measured = profile(quantized_digits({}, {"fc1"}), {.runs = 2});
  int in_float = 0;
  for (const ProfiledStep& one : measured.steps) {
    if (one.step.node == "fc1") {
      EXPECT_EQ(one.why_float, "its weight is in float");
      expect_part(one.remedy, "without --skip");
    }
    EXPECT_FALSE(one.step.arithmetic == DType::i8 && one.is_float()) << one.step.node;
    in_float += one.is_float() ? 1 : 0;
  }
  EXPECT_GE(in_float, 1);
}

TEST(profile, a_layer_whose_weights_alone_are_quantized_asks_for_its_data) {
  const NetworkProfile measured =
      profile(quantized_digits({.weight_bits = 4, .activation_bits = 0}), {.runs = 2});
  const ProfiledStep* conv = find(measured, "Conv");
  ASSERT_NE(conv, nullptr);
  expect_part(conv->why_float, "its data are not");
  expect_part(conv->remedy, "--activations 8");
}

TEST(profile, what_makes_no_sense_is_refused) {
  const Graph graph = digits_network();
  expect_part(error_of([&] { profile(graph, {.batch = 0}); }), "batches of 0");
  expect_part(error_of([&] { profile(graph, {.runs = -1}); }), "-1 runs");
}

TEST(why_not_faster, float_layers_are_named_the_costliest_first) {
  const std::string sentence =
      why_not_faster(profile_of({step_of("a", StepKind::convolution, 1e-3),
                                 step_of("b", StepKind::convolution, 2e-3, DType::f32),
                                 step_of("c", StepKind::elementwise, 4e-3, DType::f32)}));
  EXPECT_EQ(sentence, "86 % of the time is spent in 2 float steps: c (Conv) 57 %, b (Conv) 29 %");
}

TEST(why_not_faster, conversions_and_layout_changes_are_one_cause) {
  const std::string sentence =
      why_not_faster(profile_of({step_of("a", StepKind::convolution, 2e-3),
                                 step_of("x", StepKind::conversion, 2e-3, DType::f32),
                                 step_of("t", StepKind::layout, 1e-3, DType::f32)}));
  expect_part(sentence, "60 % of the time is spent on 2 conversions");
}

TEST(why_not_faster, small_steps_take_longer_to_start_than_to_compute) {
  expect_part(why_not_faster(profile_of({step_of("a", StepKind::convolution, 1e-6),
                                         step_of("b", StepKind::product, 1.5e-6)})),
              "in 2 steps of 2.00 us or less");
}

TEST(why_not_faster, a_step_that_moves_as_fast_as_copies_waits_for_memory) {
  ProfiledStep product = step_of("a", StepKind::product, 1e-3);
  product.bytes = 9e9;
  expect_part(why_not_faster(profile_of({product})), "1 step that wait");
}

TEST(why_not_faster, where_no_cause_stands_out_the_kind_that_takes_longest_is_named) {
  const std::string sentence = why_not_faster(profile_of(
      {step_of("a", StepKind::convolution, 3e-3), step_of("b", StepKind::product, 1e-3)}));
  expect_part(sentence, "75 %");
  expect_part(sentence, "convolution, int8");
  NetworkProfile slow = profile_of({step_of("a", StepKind::convolution, 3e-3)});
  slow.peak.int8 = 1.5 * slow.peak.f32;
  expect_part(why_not_faster(slow), "little to gain");
}

TEST(why_not_faster, is_said_of_a_quantized_model_that_is_no_faster_than_a_float_one) {
  const Graph reference = digits_network(), quantized = quantized_digits({});
  EXPECT_FALSE(why_not_faster(reference, quantized, 1.5, {.runs = 2}));
  EXPECT_TRUE(why_not_faster(reference, quantized, 0.9, {.runs = 2}));
  EXPECT_FALSE(why_not_faster(reference, reference, 0.9, {.runs = 2}));
  EXPECT_FALSE(why_not_faster(quantized, quantized, 0.9, {.runs = 2}));
}

TEST(profile, its_trace_has_an_event_for_each_step_within_the_inference) {
  const NetworkProfile measured = profile(quantized_digits({}), {.runs = 3});
  const auto trace = nlohmann::json::parse(trace_json(measured, "digits").dump());
  size_t steps = 0;
  double inference = 0;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") continue;
    ASSERT_EQ(event.at("ph"), "X");
    EXPECT_GE(event.at("ts").get<double>(), 0);
    EXPECT_GE(event.at("dur").get<double>(), 0);
    if (event.at("name") == "inference") {
      inference = event.at("dur");
      continue;
    }
    ++steps;
    EXPECT_LE(event.at("ts").get<double>() + event.at("dur").get<double>(), inference + 1e-6);
    EXPECT_FALSE(event.at("args").at("kernel").get<std::string>().empty());
  }
  EXPECT_EQ(steps, measured.steps.size());
}

TEST(profile, the_page_shows_kinds_steps_and_reasons) {
  const NetworkProfile measured = profile(quantized_digits({}, {"fc1"}), {.runs = 2});
  auto json = to_json(measured);
  json["model"] = "q.onnx";
  const std::vector<RunStep> steps = {testing::step_of("profile", json, {{"q.onnx", 100}})};
  const std::string html = report_page(steps);
  for (const char* part : {"id=\"profile\"", "by kind of step", "take longest", "without --skip"}) {
    expect_part(html, part);
  }
}

}  // namespace
}  // namespace nibble
