// From a goal to a network: what decides, what is tried, what is chosen.
#include "verbs/ladder.h"

#include <gtest/gtest.h>

#include <set>

#include "base/check.h"
#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/train.h"
#include "onnx/model_size.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/rule_meter.h"
#include "train/backend.h"

namespace nibble {
namespace {

Graph network() { return build_architecture("digits-cnn", {1, 8, 8}, 10, 3); }

// Without learned rounding, which tests/train has.
std::string no_library() { fail(ErrorCode::unsupported, "no libtorch in this test"); }
const bool kFinderSet = [] {
  set_train_library_finder(no_library);
  return true;
}();

// Digits by their names, so that labels are there; each part notes what was read of it.
struct Watched {
  SampleSource source{.spec = "digits"};
  std::map<Split, int64_t> sizes;
  Watched() {
    source.opened = [this](Split split, const Dataset& data) { sizes[split] = data.size(); };
  }
};

Ladder climbed(const Goal& goal, const QuantizeSettings& settings = {.calibration = 100},
               std::vector<std::string>* said = nullptr) {
  return climb(network(), SampleSource{.spec = "digits"}, settings, goal, {.threads = 1},
               [said](const std::string& sentence) {
                 if (said != nullptr) said->push_back(sentence);
               });
}

std::string error_of(const Goal& goal, const QuantizeSettings& settings = {.calibration = 100}) {
  return testing::error_of([&] { climbed(goal, settings); });
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

// Networks with random weights have no accuracy to lose: what is judged is the error of the output.
TEST(ladder, the_smallest_setting_that_keeps_to_the_goal_is_chosen) {
  const Ladder easy = climbed({.min_sqnr = 5});
  ASSERT_TRUE(easy.met);
  EXPECT_EQ(easy.rungs[0].setting, "W8A8");
  EXPECT_EQ(easy.rungs[easy.chosen].setting, "W4A8");
  EXPECT_EQ(easy.rungs.size(), 2U) << "nothing is smaller: nothing else was tried";

  const double eight = easy.rungs[0].verdict.value, four = easy.rungs[1].verdict.value;
  ASSERT_GT(eight, four + 6);
  const Ladder hard = climbed({.min_sqnr = eight - 2});
  ASSERT_TRUE(hard.met);
  const Rung& chosen = hard.rungs[hard.chosen];
  EXPECT_TRUE(chosen.verdict.kept());
  for (const Rung& rung : hard.rungs) {
    if (rung.verdict.kept()) {
      EXPECT_GE(rung.bytes, chosen.bytes) << rung.setting;
    }
  }
  ASSERT_GT(hard.rungs.size(), 2U);
  EXPECT_EQ(hard.rungs[2].setting, "W4A8, gptq");
  EXPECT_GT(hard.rungs[2].verdict.value, four) << "what is more costly is worth it";
}

TEST(ladder, where_nothing_keeps_to_the_goal_the_nearest_is_told) {
  const Ladder ladder = climbed({.min_sqnr = 120});
  EXPECT_FALSE(ladder.met);
  std::set<std::string> settings;
  for (const Rung& rung : ladder.rungs) {
    EXPECT_LT(rung.verdict.margin, 0);
    EXPECT_LE(rung.verdict.margin, ladder.rungs[ladder.chosen].verdict.margin);
    settings.insert(rung.setting);
  }
  EXPECT_EQ(settings.size(), ladder.rungs.size()) << "nothing is tried twice";
  EXPECT_LE(ladder.rungs.size(), 7U) << "as many decisions as the intervals allow for";
  expect_part(missed_text(ladder), "misses it by");
}

TEST(ladder, products_of_activations_have_no_weights_to_count) {
  testing::NetworkBuilder net({-1, 1, 8, 8});
  const ValueId data = net.conv("conv", net.last, 1, 4);
  net.add({.op = "MatMul", .name = "product", .inputs = {data, data}});
  net.add({.op = "Flatten", .name = "flat", .inputs = {net.last}});
  const ValueId weight = net.constant("w", net.normal({256, 10}, 0.1));
  net.add({.op = "MatMul", .name = "head", .inputs = {net.last, weight}});
  const Ladder ladder = climb(net.finish(), SampleSource{.spec = "digits"}, {.calibration = 64},
                              {.min_sqnr = 5}, {.threads = 1});
  EXPECT_TRUE(ladder.met);
  EXPECT_DOUBLE_EQ(ladder.rungs[0].weight_bits, 8);
}

TEST(ladder, other_samples_calibrate_decide_and_report) {
  Watched watched;
  const Ladder ladder =
      climb(network(), watched.source, {.calibration = 100}, {.min_sqnr = 5}, {.threads = 1});
  EXPECT_EQ(ladder.calibration_samples, 100);
  EXPECT_LE(ladder.decision_samples, watched.sizes[Split::train] - 100);
  ASSERT_TRUE(ladder.report);
  EXPECT_EQ(ladder.report->samples, watched.sizes[Split::validation]);
  EXPECT_FALSE(watched.sizes.contains(Split::test)) << "what users judge by is not looked at";
}

TEST(ladder, its_network_is_the_one_that_the_setting_gives_by_itself) {
  QuantizeSettings settings{.calibration = 100};
  Ladder ladder = climbed({.min_sqnr = 5}, settings);
  settings.plan.fallback.weight_bits = 4;
  const Quantized alone =
      quantize_model(network(), SampleSource{.spec = "digits"}, settings, {.threads = 1});
  const Target& target = find_target("onnxruntime");
  // But for the score that its provenance has besides.
  ladder.result.graph.metadata = alone.graph.metadata;
  EXPECT_EQ(serialize_onnx(ladder.result.graph, target), serialize_onnx(alone.graph, target));
}

TEST(ladder, says_what_it_tries_and_what_that_gave) {
  std::vector<std::string> said;
  climbed({.min_sqnr = 5}, {.calibration = 100}, &said);
  ASSERT_EQ(said.size(), 3U);
  expect_part(said[0], "100 training samples calibrate");
  expect_part(said[0], "99.3 % intervals");
  expect_part(said[1], "W8A8: ");
  expect_part(said[1], "kept; on to 4 bits");
}

TEST(ladder, without_the_training_library_it_says_what_is_left_out) {
  std::vector<std::string> said;
  const Ladder ladder = climbed({.min_sqnr = 30}, {.calibration = 100}, &said);
  for (const Rung& rung : ladder.rungs) EXPECT_EQ(rung.setting.find("brecq"), std::string::npos);
  const auto left_out =
      std::ranges::find(said, "Rounding is not learned: no libtorch in this test");
  EXPECT_EQ(left_out != said.end(), ladder.rungs.size() > 2);
}

TEST(ladder, too_few_samples_to_show_a_drop_are_refused_with_how_many_it_takes) {
  // 900 decide: z^2 / (n + z^2) = 0.797 points at 99.3 %.
  expect_part(error_of({.max_drop = 0.7}), "would reach 0.80 points. At least 1027");
  expect_part(error_of({.max_drop = 0}), "cannot be shown");
}

TEST(ladder, a_generous_goal_does_with_the_samples_that_there_are) {
  const Ladder ladder = climbed({.max_drop = 20}, {.calibration = 800});
  EXPECT_EQ(ladder.calibration_samples, 500) << "half of them at most";
  EXPECT_EQ(ladder.decision_samples, 500);
  EXPECT_TRUE(ladder.met);
}

TEST(ladder, no_network_is_compared_layer_by_layer_twice) {
  struct : ProgressSink {
    int comparisons = 0;
    void update(std::string_view stage, int64_t done, int64_t) override {
      comparisons += stage == "comparing" && done == 0 ? 1 : 0;
    }
  } progress;
  const Ladder ladder = climb(network(), SampleSource{.spec = "digits"}, {.calibration = 100},
                              {.min_sqnr = 120}, {.threads = 1, .progress = &progress});
  ASSERT_FALSE(ladder.met);
  // It leaves layers in float of what was nearest then, and tells the costs of what is at the end.
  size_t nearest = 0, i = 0;
  for (; ladder.rungs[i].setting.find("in float") == std::string::npos; ++i) {
    if (ladder.rungs[i].verdict.margin > ladder.rungs[nearest].verdict.margin) nearest = i;
  }
  EXPECT_EQ(progress.comparisons, nearest == ladder.chosen ? 1 : 2);
}

TEST(ladder, within_a_budget_roundings_are_tried) {
  QuantizeSettings settings{.calibration = 100};
  settings.budget.average_weight_bits = 6;
  const Ladder easy = climbed({.min_sqnr = 5}, settings);
  EXPECT_TRUE(easy.met);
  EXPECT_EQ(easy.rungs.size(), 1U) << "the cheapest rounding is enough";
  EXPECT_LE(easy.rungs[0].weight_bits, 6);
  ASSERT_TRUE(easy.result.choice);
  EXPECT_FALSE(easy.result.choice->front.empty());

  const Ladder hard = climbed({.min_sqnr = 120}, settings);
  EXPECT_FALSE(hard.met);
  ASSERT_EQ(hard.rungs.size(), 2U);
  EXPECT_NE(hard.rungs[1].setting.find("gptq"), std::string::npos);
  for (const Rung& rung : hard.rungs) EXPECT_LE(rung.weight_bits, 6);
  expect_part(missed_text(hard), "a larger budget");
  EXPECT_FALSE(hard.costs.empty());
}

TEST(ladder, a_latency_decides_the_bits_of_a_ladder_too) {
  testing::RuleMeter meter([](const std::string&, int bits) { return bits == 4 ? 1e-3 : 2e-3; });
  QuantizeSettings settings{.calibration = 100};
  settings.options.first_and_last_8bit = false;
  settings.budget.latency_s = 8e-3;
  const Ladder ladder = climb(network(), SampleSource{.spec = "digits"}, settings, {.min_sqnr = 5},
                              {.threads = 1, .meter = &meter});
  EXPECT_TRUE(ladder.met);
  ASSERT_TRUE(ladder.result.choice && ladder.result.choice->latency);
  EXPECT_LE(ladder.result.choice->latency->high_s, 8e-3);
}

TEST(ladder, what_it_adds_to_the_file_is_part_of_a_size) {
  QuantizeSettings settings{.calibration = 100};
  const int64_t eight =
      size_as_onnx(quantize_model(network(), {.spec = "digits"}, settings, {.threads = 1}).graph,
                   default_target());
  for (const double share : {0.95, 0.85}) {
    settings.budget.file_bytes = static_cast<int64_t>(share * static_cast<double>(eight));
    const Ladder ladder = climbed({.min_sqnr = 5}, settings);
    EXPECT_LE(size_as_onnx(ladder.result.graph, default_target()), *settings.budget.file_bytes);
  }
}

TEST(ladder, what_decides_bits_otherwise_is_refused) {
  QuantizeSettings settings{.calibration = 100};
  settings.plan.fallback.weight_bits = 4;
  expect_part(error_of({.min_sqnr = 5}, settings), "leave --weights");
  expect_part(error_of({.max_drop = 1, .metric = "nonsense"}), "no metric 'nonsense'");
}

class decisions : public ::testing::Test {
 protected:
  Graph graph_ = prepare_for_quantization(network());
  std::shared_ptr<const Dataset> data_ = open_dataset("digits", {.split = Split::train});
};

TEST_F(decisions, the_float_network_loses_nothing_and_the_interval_is_tangos) {
  GoalJudge judge({.max_drop = 2}, graph_, data_, 0.95, {.threads = 1});
  const Verdict same = judge.judge(graph_);
  EXPECT_EQ(same.change, 0);
  const Interval interval = paired_difference_interval(0, 0, data_->size(), 0.95);
  EXPECT_EQ(same.interval.low, interval.low);
  EXPECT_NEAR(same.margin, 2 + 100 * interval.low, 1e-9);
  EXPECT_TRUE(same.kept());
  EXPECT_FALSE(same.would_decide);
}

TEST_F(decisions, the_interval_decides_and_not_the_difference) {
  GoalJudge judge({.max_drop = 0.3}, graph_, data_, 0.95, {.threads = 1});
  const Verdict same = judge.judge(graph_);  // 1,000 samples: 0.38 points
  EXPECT_FALSE(same.kept());
  ASSERT_TRUE(same.would_decide);
  EXPECT_GT(*same.would_decide, data_->size());
}

TEST_F(decisions, a_higher_confidence_asks_for_more) {
  GoalJudge usual({.max_drop = 2}, graph_, data_, 0.95, {.threads = 1});
  GoalJudge strict({.max_drop = 2}, graph_, data_, 0.99, {.threads = 1});
  EXPECT_LT(strict.judge(graph_).margin, usual.judge(graph_).margin);
  EXPECT_GT(*strict.samples_needed(0.03), *usual.samples_needed(0.03));
  EXPECT_NEAR(static_cast<double>(*usual.samples_needed(0.03)), 3.8415 * 0.03 / 4e-4, 1);
}

TEST_F(decisions, agreement_is_a_drop_from_all) {
  GoalJudge judge({.max_drop = 1, .metric = "agreement"}, graph_, data_, 0.95, {.threads = 1});
  const Verdict same = judge.judge(graph_);
  EXPECT_EQ(same.value, 1);
  EXPECT_EQ(same.change, 0);
  EXPECT_TRUE(same.kept()) << same.margin;
}

}  // namespace
}  // namespace nibble
