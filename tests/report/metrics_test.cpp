// Metrics on small sets whose values are worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "report/metrics/metric.h"
#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;
using Kind = ClassReading::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const float kNaN = std::numeric_limits<float>::quiet_NaN();

ClassReading scores_of(int64_t classes) {
  return {.name = "y", .kind = Kind::scores, .classes = classes};
}
const ClassReading kLogit{.name = "y", .kind = Kind::score, .classes = 2};
const ClassReading kNoClasses{.name = "y"};

// The contributions of samples judged by labels.
Contributions by_labels(const MetricRow& row, const ClassReading& reading,
                        const std::vector<std::vector<float>>& outputs,
                        const std::vector<int64_t>& labels, int64_t classes) {
  Contributions contributions;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor output = Tensor::of<float>({1, static_cast<int64_t>(outputs[i].size())},
                                            std::span<const float>(outputs[i]));
    std::vector<double> numbers;
    row.judge({.output = output, .reading = reading, .label = labels[i], .classes = classes},
              numbers);
    contributions.add(numbers);
  }
  return contributions;
}

double value_of(const MetricRow& row, const Contributions& contributions,
                std::vector<uint32_t> counts = {}) {
  if (counts.empty()) counts.assign(contributions.samples(), 1);
  return statistic_of(row, contributions)(counts);
}

double by_labels_value(std::string_view metric, const ClassReading& reading,
                       const std::vector<std::vector<float>>& outputs,
                       const std::vector<int64_t>& labels, int64_t classes) {
  const MetricRow& row = find_metric(metric);
  return value_of(row, by_labels(row, reading, outputs, labels, classes));
}

std::vector<double> against(std::string_view metric, const Tensor& reference, const Tensor& output,
                            const ClassReading& reading = kNoClasses) {
  std::vector<double> numbers;
  find_metric(metric).judge({.output = output,
                             .reading = reading,
                             .reference = &reference,
                             .reference_reading = &reading},
                            numbers);
  return numbers;
}

std::vector<double> by_target(std::string_view metric, const Tensor& output, const Tensor& target,
                              const ClassReading& reading = kNoClasses) {
  std::vector<double> numbers;
  find_metric(metric).judge({.output = output, .reading = reading, .target = &target}, numbers);
  return numbers;
}

double pooled(std::string_view metric, const std::vector<std::vector<double>>& samples) {
  Contributions contributions;
  for (const auto& numbers : samples) contributions.add(numbers);
  return value_of(find_metric(metric), contributions);
}

TEST(Metrics, have_names_summaries_and_what_it_takes) {
  EXPECT_EQ(metrics().size(), metric_choices().size());
  for (const MetricRow& row : metrics()) {
    EXPECT_FALSE(row.summary.empty()) << row.name;
    EXPECT_NE(row.judge, nullptr) << row.name;
    EXPECT_EQ(&find_metric(row.name), &row);
    EXPECT_TRUE(row.reads_classes || !row.scores_only) << row.name;
  }
  EXPECT_NE(error_of([] { find_metric("accuracy"); }).find("choose top1, top5"), std::string::npos);
}

TEST(Top1, is_the_share_of_labels_with_the_largest_score) {
  EXPECT_DOUBLE_EQ(by_labels_value("top1", scores_of(3),
                                   {{1, 2, 0}, {5, 5, 1}, {0, 1, 2}, {1, 0, 0}}, {1, 0, 2, 1}, 3),
                   0.75);
}

TEST(Top5, counts_a_label_among_the_five_largest_and_breaks_ties_by_class) {
  const std::vector<float> falling = {9, 8, 7, 6, 5, 4, 3};
  const std::vector<float> equal(7, 1.0F);
  const std::vector<float> undefined = {9, kNaN, 7, 6, 5, 4, 3};
  const MetricRow& row = find_metric("top5");
  const Contributions c =
      by_labels(row, scores_of(7), {falling, falling, equal, equal, undefined}, {4, 5, 4, 5, 0}, 7);
  const std::vector<double> right = {1, 0, 1, 0, 0};
  for (size_t i = 0; i < right.size(); ++i) EXPECT_EQ(c.of(i)[0], right[i]) << i;
  EXPECT_NE(error_of([&] {
              by_labels(row, scores_of(5), {{1, 2, 3, 4, 5}}, {0}, 5);
            }).find("measure top1"),
            std::string::npos);
}

// Labels 1 1 1 0 0, answers 1 1 0 1 0: tp 2, fp 1, fn 1.
TEST(F1, of_two_classes_is_that_of_class_one) {
  EXPECT_DOUBLE_EQ(by_labels_value("f1", kLogit, {{1}, {2}, {-1}, {3}, {-2}}, {1, 1, 1, 0, 0}, 2),
                   4.0 / 6);
  EXPECT_TRUE(std::isnan(by_labels_value("f1", kLogit, {{-1}, {-2}}, {0, 0}, 2)));
  // NaN is no answer: a label missed.
  EXPECT_DOUBLE_EQ(by_labels_value("f1", kLogit, {{1}, {kNaN}}, {1, 1}, 2), 2.0 / 3);
}

// Labels 0 0 1 2, answers 0 1 1 1: F1 2/3, 1/2, 0. Class 3 occurs nowhere and does not count.
TEST(F1, of_more_classes_is_the_mean_over_those_that_occur) {
  EXPECT_DOUBLE_EQ(
      by_labels_value("f1", scores_of(4), {{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}, {0, 1, 0, 0}},
                      {0, 0, 1, 2}, 4),
      (2.0 / 3 + 0.5 + 0) / 3);
}

// Positives 3 1, negatives 1 0: three of four pairs are right, one of them a tie (half).
TEST(Auc, counts_ties_half) {
  const MetricRow& row = find_metric("auc");
  const Contributions c = by_labels(row, kLogit, {{3}, {1}, {1}, {0}}, {1, 1, 0, 0}, 2);
  EXPECT_DOUBLE_EQ(value_of(row, c), 3.5 / 4);
  // The tied negative three times: pairs 3>1 x3, 1=1 x3, 3>0, 1>0.
  EXPECT_DOUBLE_EQ(value_of(row, c, {1, 1, 3, 1}), (3 + 1.5 + 1 + 1) / 8);
  EXPECT_TRUE(std::isnan(value_of(row, c, {2, 2, 0, 0})));  // no negatives
}

TEST(Auc, of_all_scores_equal_is_a_half) {
  EXPECT_DOUBLE_EQ(by_labels_value("auc", kLogit, {{2}, {2}, {2}}, {1, 0, 0}, 2), 0.5);
}

TEST(Auc, of_two_logits_ranks_by_their_difference) {
  EXPECT_DOUBLE_EQ(by_labels_value("auc", scores_of(2), {{0, 3}, {10, 12}, {0, 1}}, {1, 1, 0}, 2),
                   1);
}

// Class 0 against the rest: scores 3 | 1 2 -> 1. Class 1: 2 | 1 2 -> 3/4. Class 2: 0 | 5 1 -> 0.
TEST(Auc, of_more_classes_is_the_mean_over_each_against_the_rest) {
  EXPECT_DOUBLE_EQ(by_labels_value("auc", scores_of(4), {{3, 1, 5, 0}, {1, 2, 1, 0}, {2, 2, 0, 0}},
                                   {0, 1, 2}, 4),
                   (1 + 0.75 + 0) / 3);
}

TEST(Auc, a_sample_with_nan_is_wrong_in_every_pair) {
  EXPECT_DOUBLE_EQ(by_labels_value("auc", kLogit, {{kNaN}, {1}, {0}}, {1, 1, 0}, 2), 0.5);
  EXPECT_DOUBLE_EQ(by_labels_value("auc", kLogit, {{2}, {1}, {kNaN}}, {1, 1, 0}, 2), 0);
}

TEST(Auc, a_single_score_cannot_rank_three_classes) {
  EXPECT_NE(error_of([] { by_labels_value("auc", kLogit, {{1}}, {2}, 3); }).find("cannot rank 3"),
            std::string::npos);
}

// Targets 0 0 1 1 and 1 1 1 (255: no class), answers 0 1 1 1 and 1 0 1: class 0 has intersection 1
// and union 3, class 1 4 and 6.
TEST(Miou, sums_intersection_and_union_over_samples) {
  const auto target = [](std::vector<int64_t> values) {
    return Tensor::of<int64_t>({2, 2}, std::span<const int64_t>(values));
  };
  const auto scores = [](std::vector<float> values) {
    return Tensor::of<float>({1, 2, 2, 2}, std::span<const float>(values));
  };
  const auto first = by_target("miou", scores({1, 0, 0, 0, 0, 1, 1, 1}), target({0, 0, 1, 1}));
  const auto second = by_target("miou", scores({0, 1, 0, 1, 1, 0, 1, 0}), target({1, 1, 1, 255}));
  EXPECT_EQ(first, (std::vector<double>{0, 1, 2, 1, 2, 3}));
  EXPECT_EQ(second, (std::vector<double>{0, 0, 1, 1, 2, 3}));
  EXPECT_DOUBLE_EQ(pooled("miou", {first, second}), (1.0 / 3 + 4.0 / 6) / 2);
}

TEST(Miou, reads_channels_last_maps_of_classes_and_single_scores) {
  const Tensor target = Tensor::of<int64_t>({1, 3}, {0, 1, 2});
  const Tensor channels_last =
      Tensor::of<float>({1, 1, 3, 4}, {9, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0});
  EXPECT_EQ(by_target("miou", channels_last, target),
            (std::vector<double>{0, 1, 1, 1, 1, 2, 2, 0, 1}));
  const Tensor classes = Tensor::of<int64_t>({1, 3}, {0, 1, 7});
  EXPECT_EQ(by_target("miou", classes, target),
            (std::vector<double>{0, 1, 1, 1, 1, 1, 2, 0, 1, 7, 0, 1}));
  ClassReading probability = kNoClasses;
  probability.cut = 0.5F;
  EXPECT_EQ(by_target("miou", Tensor::of<float>({1, 1, 1, 3}, {0.4F, 0.6F, kNaN}),
                      Tensor::of<uint8_t>({1, 3}, {0, 1, 1}), probability),
            (std::vector<double>{0, 1, 1, 1, 1, 2}));
}

TEST(Miou, a_map_of_another_size_is_not_judged_and_real_targets_are_refused) {
  EXPECT_TRUE(
      by_target("miou", Tensor(DType::f32, {1, 2, 3, 3}), Tensor(DType::i64, {2, 2})).empty());
  EXPECT_NE(error_of([] {
              by_target("miou", Tensor(DType::f32, {1, 2, 2}), Tensor(DType::f32, {2}));
            }).find("integers"),
            std::string::npos);
}

TEST(MseAndMae, are_means_over_the_elements_of_a_sample) {
  const Tensor output = Tensor::of<float>({1, 4}, {1, 2, 3, 4});
  const Tensor target = Tensor::of<float>({4}, {1, 0, 0, 5});
  EXPECT_EQ(by_target("mse", output, target), std::vector<double>{(0 + 4 + 9 + 1) / 4.0});
  EXPECT_EQ(by_target("mae", output, target), std::vector<double>{(0 + 2 + 3 + 1) / 4.0});
  EXPECT_TRUE(by_target("mse", output, Tensor(DType::f32, {3})).empty());
}

// Signals 25 and 75, errors 1 and 0: 20 dB.
TEST(Sqnr, pools_signal_and_error_over_samples) {
  const auto first =
      against("sqnr", Tensor::of<float>({2}, {3, 4}), Tensor::of<float>({2}, {4, 4}));
  const auto second =
      against("sqnr", Tensor::of<float>({3}, {5, 5, 5}), Tensor::of<float>({3}, {5, 5, 5}));
  EXPECT_EQ(first, (std::vector<double>{25, 1}));
  EXPECT_NEAR(pooled("sqnr", {first, second}), 20, 1e-12);
  EXPECT_EQ(pooled("sqnr", {second}), kInfinity);
  EXPECT_EQ(pooled("sqnr", {{0, 1}}), -kInfinity);
}

TEST(Sqnr, what_is_infinite_or_nan_in_both_is_no_error_and_in_one_an_infinite_one) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor reference = Tensor::of<float>({3}, {-infinity, kNaN, 2});
  EXPECT_EQ(against("sqnr", reference, reference), (std::vector<double>{4, 0}));
  EXPECT_EQ(against("sqnr", reference, Tensor::of<float>({3}, {0, kNaN, 2})),
            (std::vector<double>{4, kInfinity}));
  EXPECT_EQ(pooled("sqnr", {{4, kInfinity}}), -kInfinity);
}

TEST(Sqnr, outputs_of_two_lengths_are_not_compared) {
  EXPECT_TRUE(against("sqnr", Tensor(DType::f32, {3}), Tensor(DType::f32, {4})).empty());
  EXPECT_TRUE(against("sqnr", Tensor(DType::f32, {0}), Tensor(DType::f32, {0})).empty());
}

TEST(Cosine, is_that_of_all_samples_as_one_vector) {
  const auto a = against("cosine", Tensor::of<float>({2}, {1, 0}), Tensor::of<float>({2}, {1, 1}));
  EXPECT_NEAR(pooled("cosine", {a}), std::sqrt(0.5), 1e-12);
  const auto b = against("cosine", Tensor::of<float>({1}, {1}), Tensor::of<float>({1}, {0}));
  EXPECT_NEAR(pooled("cosine", {a, b}), 1 / std::sqrt(2.0 * 2.0), 1e-12);
  EXPECT_EQ(pooled("cosine", {{0, 0, 0}}), 1);
}

TEST(MaxError, is_the_largest_of_a_sample) {
  EXPECT_EQ(
      against("max_error", Tensor::of<float>({3}, {1, 2, 3}), Tensor::of<float>({3}, {1, 4, 2.5F})),
      std::vector<double>{2});
}

TEST(Agreement, compares_the_top_class_with_the_first_models) {
  const Tensor reference = Tensor::of<float>({1, 3}, {0, 2, 1});
  EXPECT_EQ(against("agreement", reference, Tensor::of<float>({1, 3}, {0, 9, 8}), scores_of(3)),
            std::vector<double>{1});
  EXPECT_EQ(against("agreement", reference, Tensor::of<float>({1, 3}, {0, 8, 9}), scores_of(3)),
            std::vector<double>{0});
}

TEST(Agreement, of_several_answers_is_their_share) {
  // [1, 2 places, 3 classes]: the second place differs.
  EXPECT_EQ(against("agreement", Tensor::of<float>({1, 2, 3}, {0, 2, 1, 5, 0, 0}),
                    Tensor::of<float>({1, 2, 3}, {0, 2, 1, 0, 5, 0})),
            std::vector<double>{0.5});
  // [1, 2 classes, 1, 4 places]: the classes lie on axis 1.
  EXPECT_EQ(against("agreement", Tensor::of<float>({1, 2, 1, 4}, {0, 0, 0, 0, 1, 1, 1, 1}),
                    Tensor::of<float>({1, 2, 1, 4}, {2, 0, 0, 0, 1, 1, 1, 1})),
            std::vector<double>{0.75});
}

TEST(Equal, is_the_share_of_equal_elements_over_the_longer_list) {
  const Tensor reference = Tensor::of<int64_t>({1, 4}, {7, 8, 9, 2});
  EXPECT_EQ(against("equal", reference, Tensor::of<int64_t>({1, 4}, {7, 8, 8, 2})),
            std::vector<double>{0.75});
  EXPECT_EQ(against("equal", reference, Tensor::of<int64_t>({1, 5}, {7, 8, 9, 2, 1})),
            std::vector<double>{0.8});
  EXPECT_EQ(against("equal", Tensor(DType::i64, {0}), Tensor(DType::i64, {0})),
            std::vector<double>{1});
  EXPECT_EQ(against("equal", Tensor::of<float>({3}, {0.5F, 0, kNaN}),
                    Tensor::of<float>({3}, {0.5F, -0.0F, kNaN})),
            std::vector<double>{1});
}

}  // namespace
}  // namespace nibble
