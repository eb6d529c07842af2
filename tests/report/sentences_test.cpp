// What the page says in sentences: true for every mixture of what was measured and what was not.
#include "report/page/sentences.h"

#include "report/page_support.h"

namespace nibble::page {
namespace {

using testing::accuracies;
using testing::expect_no_part;
using testing::expect_part;
using testing::Json;
using testing::quantization;
using testing::step_of;
using testing::timings;

std::vector<std::string> sentences_of(const std::vector<RunStep>& steps) {
  return sentences(gather(steps));
}

TEST(sentences, tell_size_speed_and_accuracy_of_a_quantized_model) {
  const auto told = sentences_of(
      {step_of("quantize", quantization("a/resnet20.onnx", 1090000, "small.onnx", 290000)),
       step_of("eval", accuracies("a/resnet20.onnx", "small.onnx", -0.0006, -0.0029, 0.0017)),
       step_of("bench", timings({{"a/resnet20.onnx", 0.0021}, {"small.onnx", 0.001}}))});
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0], "resnet20.onnx: top-1 accuracy is 88.46 % [87.54, 89.33], n = 5,000.");
  EXPECT_EQ(told[1],
            "Quantizing resnet20.onnx to 8-bit weights and 8-bit activations gave small.onnx, "
            "which is 3.8 times smaller (290 kB instead of 1.09 MB) and 2.1 times faster (1.00 ms "
            "instead of 2.10 ms, 1 thread, batch 1); top-1 accuracy changed by -0.06 points "
            "[-0.29, +0.17], n = 5,000: no loss can be shown.");
}

TEST(sentences, say_nothing_of_speed_that_was_not_measured) {
  const auto told =
      sentences_of({step_of("quantize", quantization("a.onnx", 1000, "b.onnx", 500))});
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0],
            "Quantizing a.onnx to 8-bit weights and 8-bit activations gave b.onnx, which is 2.0 "
            "times smaller (500 B instead of 1.00 kB).");
}

TEST(sentences, tell_losses_as_they_tell_gains) {
  const auto told =
      sentences_of({step_of("quantize", quantization("a.onnx", 1000, "b.onnx", 3000, 4, 0)),
                    step_of("eval", accuracies("a.onnx", "b.onnx", -0.05, -0.06, -0.04, 900)),
                    step_of("bench", timings({{"a.onnx", 0.001}, {"b.onnx", 0.003}}))});
  ASSERT_EQ(told.size(), 2U);
  expect_part(told[1], "4-bit weights and float activations");
  expect_part(told[1], "is 3.0 times larger (3.00 kB instead of 1.00 kB) and 3.0 times slower");
  expect_part(told[1], "changed by -5.00 points [-6.00, -4.00], n = 900: a loss.");
  const auto gained =
      sentences_of({step_of("eval", accuracies("a.onnx", "b.onnx", 0.05, 0.04, 0.06))});
  ASSERT_EQ(gained.size(), 2U);
  EXPECT_EQ(gained[1],
            "b.onnx, against a.onnx, top-1 accuracy changed by +5.00 points [+4.00, +6.00], n = "
            "5,000: a gain.");
}

TEST(sentences, tell_small_changes_in_percent) {
  EXPECT_EQ(size_ratio(1000, 1100), "10.0 % larger");
  EXPECT_EQ(size_ratio(1000, 900), "10.0 % smaller");
  EXPECT_EQ(size_ratio(1000, 1001), "of the same size");
  EXPECT_EQ(size_ratio(1000, 250), "4.0 times smaller");
  EXPECT_EQ(speed_ratio(1.1, 1.0), "10.0 % faster");
  EXPECT_EQ(speed_ratio(1.0, 25.0), "25 times slower");
  EXPECT_EQ(speed_ratio(1.0, 1.0), "as fast");
}

Json report_of(const char* metric, const char* output, double value) {
  return {{"metric", metric},
          {"output", output},
          {"unit", std::string(metric) == "sqnr" ? "dB" : ""},
          {"larger_is_better", std::string(metric) == "sqnr"},
          {"against", "float.onnx"},
          {"models",
           {{{"model", "small.onnx"},
             {"value", value},
             {"samples", 60},
             {"interval_95", {value - 1, value + 1}}}}}};
}

TEST(sentences, judge_by_the_other_model_where_there_are_no_labels) {
  const auto told = sentences_of(
      {step_of("quantize", quantization("float.onnx", 4000, "small.onnx", 1000)),
       step_of(
           "compare",
           {{"outputs", {report_of("sqnr", "boxes", 31.21), report_of("sqnr", "scores", 25.0)}}})});
  ASSERT_EQ(told.size(), 1U);
  expect_part(told[0],
              "; its answers keep an SQNR of 25.0 to 31.2 dB to those of float.onnx, n = 60.");
}

TEST(sentences, call_equal_answers_equal) {
  Json infinite = report_of("sqnr", "y", 0);
  infinite["models"][0]["value"] = nullptr;
  const auto told =
      sentences_of({step_of("compare", {{"outputs", {infinite, report_of("max_error", "y", 0)}}})});
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0],
            "small.onnx, against float.onnx, its answers equal those of float.onnx, n = 60.");
}

TEST(sentences, turn_the_verdict_where_smaller_is_better) {
  const ScoreDifference more{"a", 0.3, Interval{0.1, 0.5}, {}};
  EXPECT_EQ(verdict_of(more, true), Verdict::better);
  EXPECT_EQ(verdict_of(more, false), Verdict::worse);
  EXPECT_EQ(verdict_of(more, std::nullopt), Verdict::different);
  EXPECT_EQ(verdict_of({"a", 0.3, Interval{-0.1, 0.5}, {}}, true), Verdict::no_difference);
  EXPECT_EQ(verdict_of({"a", 0.3, std::nullopt, {}}, true), Verdict::none);
  EXPECT_EQ(verdict_of({"a", 0.3, Interval{0.1, 0.5}, 0.06}, true), Verdict::disputed);
  EXPECT_EQ(verdict_of({"a", 0.3, Interval{0.1, 0.5}, 0.04}, true), Verdict::better);
  EXPECT_EQ(say(Verdict::none), "");
}

TEST(sentences, keep_models_of_one_name_apart) {
  const auto told =
      sentences_of({step_of("quantize", quantization("x/net.onnx", 1000, "x/w8.onnx", 400),
                            {{"x/net.onnx", 1000}, {"x/w8.onnx", 400}}),
                    step_of("quantize", quantization("y/net.onnx", 3000, "y/w8.onnx", 1000),
                            {{"y/net.onnx", 3000}, {"y/w8.onnx", 1000}})});
  ASSERT_EQ(told.size(), 2U);
  expect_part(told[0], "Quantizing x/net.onnx");
  expect_part(told[0], "gave x/w8.onnx, which is 2.5 times smaller");
  expect_part(told[1], "Quantizing y/net.onnx");
  expect_part(told[1], "gave y/w8.onnx, which is 3.0 times smaller");
}

TEST(sentences, know_a_file_under_another_path_and_another_file_under_the_same_path) {
  const auto told =
      sentences_of({step_of("quantize", quantization("net.onnx", 1000, "w8.onnx", 400),
                            {{"net.onnx", 1000}, {"w8.onnx", 400}}),
                    // The same two files, seen from the folder above; their digest is what counts.
                    {"bench",
                     {{"models",
                       {{{"file", "a/net.onnx"}, {"sha256", "net.onnx1000"}},
                        {{"file", "a/w8.onnx"}, {"sha256", "w8.onnx400"}}}}},
                     timings({{"a/net.onnx", 0.003}, {"a/w8.onnx", 0.001}}),
                     {}},
                    // The path was written again.
                    step_of("quantize", quantization("net.onnx", 1000, "w8.onnx", 250, 4),
                            {{"net.onnx", 1000}, {"w8.onnx", 250}})});
  ASSERT_EQ(told.size(), 2U);
  expect_part(told[0],
              "w8.onnx, which is 2.5 times smaller (400 B instead of 1.00 kB) and 3.0 times");
  expect_part(told[1], "w8.onnx (2), which is 4.0 times smaller");
  expect_no_part(told[1], "faster");
}

TEST(sentences, tell_once_what_was_measured_again) {
  const auto told =
      sentences_of({step_of("eval", accuracies("a.onnx", "b.onnx", -0.05, -0.06, -0.04, 100)),
                    step_of("eval", accuracies("a.onnx", "b.onnx", -0.01, -0.02, 0.01, 500))});
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0], "a.onnx: top-1 accuracy is 88.46 % [87.54, 89.33], n = 500.");
  EXPECT_EQ(told[1],
            "b.onnx, against a.onnx, top-1 accuracy changed by -1.00 points [-2.00, +1.00], n = "
            "500: no loss can be shown.");
}

TEST(sentences, tell_how_training_went) {
  const Json epochs = {
      {{"train_loss", 1.0}, {"validation_accuracy", 0.5}, {"validation_samples", 297}},
      {{"train_loss", 0.5}, {"validation_accuracy", 0.75}, {"validation_samples", 297}}};
  const auto told = sentences_of({step_of("train", {{"architecture", "digits-cnn"},
                                                    {"output", "d.onnx"},
                                                    {"bytes", 30000},
                                                    {"best_epoch", 2},
                                                    {"epochs", epochs}})});
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0],
            "Training digits-cnn from scratch gave d.onnx, which had its best validation accuracy, "
            "75.00 % of 297 samples, in epoch 2 of 2.");
}

}  // namespace
}  // namespace nibble::page
