#include "nibble/measure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../runtime/graphs.h"
#include "report/class_reading.h"
#include "report/listed_samples.h"
#include "support/errors.h"

namespace nibble {
namespace {

using test::Builder;
using test::ListedSamples;
using test::rows_of;
using testing::error_of;

// The input itself, times `factor`, through `ops` (each of one input).
Graph passing(int64_t width, const std::vector<std::string>& ops = {"Identity"}, float factor = 1) {
  Builder b;
  ValueId x = b.input("x", {-1, width});
  if (factor != 1) x = b.op("Mul", {x, b.constant(Tensor::scalar(factor))});
  for (const std::string& op : ops) x = b.op(op, {x});
  b.graph.outputs = {x};
  return b.graph;
}

std::vector<MetricReport> measure_all(const std::vector<const Graph*>& graphs, const Dataset& data,
                                      const MeasureOptions& options = {}) {
  std::vector<MeasuredModel> models;
  for (size_t i = 0; i < graphs.size(); ++i) {
    models.push_back({.name = "model" + std::to_string(i), .graph = graphs[i], .data = &data});
  }
  return measure(models, options);
}

bool has_note(const std::vector<std::string>& notes, std::string_view part) {
  return std::ranges::any_of(
      notes, [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

TEST(Evaluate, a_single_score_is_a_logit_unless_it_comes_from_a_sigmoid) {
  const auto data = rows_of(1, {-2, -1, 0.2F, 3}, {0, 0, 1, 1}, 2);
  const Evaluation logit = evaluate(passing(1), data);
  EXPECT_EQ(logit.correct, 4);
  EXPECT_TRUE(has_note(logit.notes, "taken as a logit: class 1 above 0 "));
  const Evaluation sigmoid = evaluate(passing(1, {"Sigmoid"}), data);
  EXPECT_EQ(sigmoid.correct, 4);
  EXPECT_TRUE(has_note(sigmoid.notes, "taken as a probability: class 1 above 0.5"));
  const Evaluation through_views = evaluate(passing(1, {"Sigmoid", "Identity", "Flatten"}), data);
  EXPECT_EQ(through_views.correct, 4);
  const Evaluation cut = evaluate(passing(1), data, {.threshold = 0.5F});
  EXPECT_EQ(cut.predicted, (std::vector<int32_t>{0, 0, 0, 1}));
}

TEST(Evaluate, scores_taken_for_logits_that_look_like_probabilities_are_told) {
  const auto data = rows_of(1, {0.1F, 0.9F, 0.4F}, {0, 1, 0}, 2);
  const Evaluation result = evaluate(passing(1), data);
  EXPECT_EQ(result.correct, 1);
  EXPECT_TRUE(has_note(result.notes, "lies within [0.1, 0.9]"));
  EXPECT_TRUE(has_note(result.notes, "The answer to all samples is class 1"));
  EXPECT_EQ(evaluate(passing(1), data, {.threshold = 0.5F}).correct, 3);
}

TEST(Evaluate, an_integer_is_the_class_itself) {
  Builder b;
  const ValueId x = b.input("x", {-1, 4});
  b.graph.outputs = {b.op("ArgMax", {x}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}})};
  b.graph.value(b.graph.outputs[0]).type.dtype = DType::i64;
  const auto data = rows_of(4, {0, 0, 0, 1, 0, 5, 0, 0, 1, 0, 0, 0}, {3, 1, 2}, 4);
  for (const int batch : {1, 2, 32}) {
    EXPECT_EQ(evaluate(b.graph, data, {.batch = batch}).predicted, (std::vector<int32_t>{3, 1, 0}));
  }
  EXPECT_NE(error_of([&] { evaluate(b.graph, data, {.threshold = 1.0F}); }).find("class itself"),
            std::string::npos);
}

TEST(Evaluate, scores_may_have_dimensions_of_one_behind_them) {
  Builder b;
  const ValueId x = b.input("x", {-1, 3});
  b.graph.outputs = {b.op("Reshape", {x, b.integers({-1, 3, 1, 1})})};
  const auto data = rows_of(3, {0, 0, 9, 9, 0, 0}, {2, 0}, 3);
  EXPECT_EQ(evaluate(b.graph, data).correct, 2);
}

// Outputs: a confidence [N,1], the classes twice [N,3], and an image [N,3,2].
Graph several_outputs() {
  Builder b;
  const ValueId x = b.input("x", {-1, 3});
  const ValueId top =
      b.op("ReduceMax", {x}, {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}});
  const ValueId same = b.op("Identity", {x});
  const ValueId less = b.op("Neg", {x});
  const ValueId image = b.op(
      "Concat", {b.op("Unsqueeze", {x, b.integers({2})}), b.op("Unsqueeze", {x, b.integers({2})})},
      {{"axis", int64_t{2}}});
  b.graph.outputs = {top, same, less, image};
  return b.graph;
}

TEST(Evaluate, of_several_outputs_the_first_that_tells_the_classes_apart_is_read) {
  const Graph graph = several_outputs();
  const auto data = rows_of(3, {0, 1, 2, 5, 4, 3}, {2, 0}, 3);
  const Evaluation result = evaluate(graph, data);
  EXPECT_EQ(result.correct, 2);
  EXPECT_EQ(result.output, graph.value(graph.outputs[1]).name);
  EXPECT_TRUE(has_note(result.notes, "read from the output 'Identity_out'"));
  EXPECT_EQ(evaluate(graph, data, {.output = "Neg_out"}).correct, 0);
  EXPECT_NE(error_of([&] {
              evaluate(graph, data, {.output = "Negg_out"});
            }).find("did you mean 'Neg_out'"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              evaluate(graph, data, {.output = "Concat_out"});
            }).find("is [1,3,2] for one sample, not scores of 3 classes"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              evaluate(graph, data, {.output = "ReduceMax_out"});
            }).find("not scores of 3 classes"),
            std::string::npos);
}

TEST(Evaluate, a_model_without_class_scores_is_refused_with_what_to_do) {
  Builder b;
  const ValueId x = b.input("x", {-1, 4});
  b.graph.outputs = {b.op("Reshape", {x, b.integers({-1, 2, 2})})};
  const auto data = rows_of(4, {1, 2, 3, 4}, {1}, 2);
  const std::string message = error_of([&] { evaluate(b.graph, data); });
  EXPECT_NE(message.find("no output of the model holds class scores"), std::string::npos);
  EXPECT_NE(message.find("--metric sqnr"), std::string::npos);
}

TEST(Evaluate, nan_scores_are_counted_and_wrong) {
  const float nan = std::nanf("");
  const auto data = rows_of(2, {0, 1, nan, 1, 1, nan}, {1, 1, 0}, 2);
  const Evaluation result = evaluate(passing(2), data);
  EXPECT_EQ(result.predicted, (std::vector<int32_t>{1, -1, -1}));
  EXPECT_EQ(result.nan_samples, 2);
  EXPECT_TRUE(
      has_note(result.notes, "2 of 3 samples have NaN in 'Identity_out' and count as wrong"));
}

TEST(Measure, without_labels_reports_each_output_against_the_first_model) {
  Random random(1);
  std::vector<float> values;
  for (int i = 0; i < 120; ++i) values.push_back(static_cast<float>(random.normal()));
  const auto data = rows_of(3, values);
  const Graph first = passing(3), second = passing(3, {"Identity"}, 1.1F),
              third = passing(3, {"Neg"});
  const auto reports = measure_all({&first, &second, &third}, data);
  ASSERT_EQ(reports.size(), 4U);
  EXPECT_EQ(reports[0].metric, "sqnr");
  EXPECT_EQ(reports[0].base, 1U);
  EXPECT_NEAR(reports[0].models[1].value, 20, 1e-3);
  EXPECT_NEAR(reports[0].models[2].value, -10 * std::log10(4), 1e-6);
  EXPECT_NEAR(reports[0].differences[2].value, -10 * std::log10(4) - 20, 1e-3);
  EXPECT_EQ(reports[1].metric, "cosine");
  EXPECT_NEAR(reports[1].models[2].value, -1, 1e-9);
  EXPECT_EQ(reports[2].metric, "max_error");
  EXPECT_EQ(reports[3].metric, "agreement");
  EXPECT_EQ(reports[3].models[1].value, 1);
  EXPECT_EQ(reports[3].models[1].interval.low, binomial_interval(40, 40).low);
  EXPECT_EQ(reports[3].models[2].value, 0);
  EXPECT_EQ(reports[3].differences[2].interval.low, paired_difference_interval(40, 0, 40).low);
  for (const MetricReport& report : reports) {
    EXPECT_EQ(report.models[0].samples, 0);
    for (size_t m : {1U, 2U}) {
      const Measurement& one = report.models[m];
      EXPECT_EQ(one.samples, 40);
      EXPECT_LE(one.interval.low, one.value + 1e-4);
      EXPECT_GE(one.interval.high, one.value - 1e-4);
    }
  }
}

TEST(Measure, is_the_same_for_every_batch_and_thread_count) {
  Random random(1);
  std::vector<float> values;
  for (int i = 0; i < 90; ++i) values.push_back(static_cast<float>(random.normal()));
  const auto data = rows_of(3, values);
  const Graph first = passing(3), second = passing(3, {"Sin"});
  const auto expected = measure_all({&first, &second}, data, {.batch = 1, .threads = 1});
  for (const int batch : {4, 30}) {
    const auto reports = measure_all({&first, &second}, data, {.batch = batch, .threads = 3});
    ASSERT_EQ(reports.size(), expected.size());
    for (size_t i = 0; i < reports.size(); ++i) {
      EXPECT_EQ(reports[i].models[1].value, expected[i].models[1].value);
      EXPECT_EQ(reports[i].models[1].interval.low, expected[i].models[1].interval.low);
      EXPECT_EQ(reports[i].models[1].interval.high, expected[i].models[1].interval.high);
    }
  }
}

TEST(Measure, models_that_take_different_batches_are_walked_side_by_side) {
  const auto data = rows_of(2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  const Graph open = passing(2);
  Builder b;
  b.graph.outputs = {b.op("Identity", {b.input("x", {3, 2})})};
  const auto reports = measure_all({&open, &b.graph}, data);
  EXPECT_EQ(reports[0].models[1].value, std::numeric_limits<double>::infinity());
  EXPECT_EQ(reports[0].models[1].samples, 5);
}

TEST(Measure, a_paired_difference_is_narrower_than_the_values_apart) {
  Random random(2);
  std::vector<float> values;
  ListedSamples data;
  for (int i = 0; i < 100; ++i) {
    const auto target = static_cast<float>(random.normal());
    values.push_back(target + 0.5F * static_cast<float>(random.normal()));
    data.target_values.push_back(Tensor::of<float>({1}, {target}));
  }
  ListedSamples rows = rows_of(1, values);
  rows.target_values = data.target_values;
  rows.target_field = {.shape = Shape{1}};
  const Graph first = passing(1), second = passing(1, {"Identity"}, 1.05F);
  const auto reports = measure_all({&first, &second}, rows, {.metric = "mse"});
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_FALSE(reports[0].larger_is_better);
  EXPECT_EQ(reports[0].models[0].per_sample.size(), 100U);
  const Interval alone = reports[0].models[0].interval;
  const Interval paired = reports[0].differences[1].interval;
  EXPECT_EQ(reports[0].differences[1].method, IntervalMethod::bootstrap);
  EXPECT_LT(paired.high - paired.low, 0.5 * (alone.high - alone.low));
  EXPECT_NEAR(reports[0].differences[1].value,
              reports[0].models[1].value - reports[0].models[0].value, 1e-12);
}

TEST(Measure, with_targets_and_no_labels_measures_errors) {
  ListedSamples rows = rows_of(2, {1, 2, 3, 4});
  rows.target_values = {Tensor::of<float>({2}, {1, 1}), Tensor::of<float>({2}, {3, 1})};
  rows.target_field = {.shape = Shape{2}};
  const Graph graph = passing(2);
  const auto reports = measure_all({&graph}, rows);
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_EQ(reports[0].metric, "mse");
  EXPECT_DOUBLE_EQ(reports[0].models[0].value, (0.5 + 4.5) / 2);
  EXPECT_EQ(reports[1].metric, "mae");
  EXPECT_DOUBLE_EQ(reports[1].models[0].value, (0.5 + 1.5) / 2);
}

TEST(Measure, top1_equals_evaluate) {
  const auto data = rows_of(2, {0, 1, 1, 0, 0, 2, 3, 0}, {1, 1, 1, 0}, 2);
  const Graph first = passing(2), second = passing(2, {"Neg"});
  const auto reports = measure_all({&first, &second}, data);
  const Evaluation a = evaluate(first, data), b = evaluate(second, data);
  const PairedTest test = compare_paired(a, b);
  EXPECT_EQ(reports[0].models[0].value, a.accuracy());
  EXPECT_EQ(reports[0].models[0].interval.high, a.interval.high);
  EXPECT_EQ(reports[0].differences[1].value, test.difference);
  EXPECT_EQ(reports[0].differences[1].interval.low, test.interval.low);
  EXPECT_EQ(reports[0].differences[1].p_value, test.p_value);
}

// NonZero gives as many places as the sample has nonzero elements.
TEST(Measure, outputs_of_ids_that_differ_in_length_are_compared_element_by_element) {
  const auto places = [](float offset) {
    Builder b;
    const ValueId x = b.input("x", {-1, 4});
    const ValueId sum = b.op("Add", {x, b.constant(Tensor::scalar(offset))});
    b.graph.outputs = {b.op("NonZero", {sum})};
    b.graph.value(b.graph.outputs[0]).type.dtype = DType::i64;
    return b.graph;
  };
  const auto data = rows_of(4, {0, 1, 0, 0, 1, 1, 1, 1});
  const Graph first = places(0), second = places(0), third = places(-1);
  const auto reports = measure_all({&first, &second, &third}, data);
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].metric, "equal");
  EXPECT_EQ(reports[0].models[1].value, 1);
  // Sample 0: places 0,1 against 0,0,0,0,2,3 (rows, then columns): 1 of 6; sample 1: none of 8.
  EXPECT_DOUBLE_EQ(reports[0].models[2].value, 1.0 / 12);
}

TEST(Measure, samples_whose_outputs_differ_in_size_are_left_out_and_told) {
  const auto nonzero_values = [](float factor) {
    Builder b;
    const ValueId x = b.input("x", {-1, 3});
    const ValueId positive = b.op("Greater", {x, b.constant(Tensor::scalar(factor))});
    const ValueId flat = b.op("Reshape", {positive, b.integers({-1})});
    for (const ValueId id : {positive, flat}) b.graph.value(id).type.dtype = DType::boolean;
    b.graph.outputs = {b.op("Compress", {x, flat})};
    return b.graph;
  };
  const auto data = rows_of(3, {1, 2, 3, 0.5F, 2, 3, 4, 5, 6});
  const Graph first = nonzero_values(0), second = nonzero_values(0.7F);
  const auto reports = measure_all({&first, &second}, data, {.metric = "sqnr"});
  EXPECT_EQ(reports[0].models[1].samples, 2);
  EXPECT_EQ(reports[0].models[1].left_out, 1);
  EXPECT_TRUE(has_note(reports[0].models[1].notes, "1 of 3 samples are left out of sqnr"));
}

TEST(Measure, what_cannot_be_measured_is_said_with_what_to_do) {
  const auto unlabelled = rows_of(2, {1, 2, 3, 4});
  const Graph graph = passing(2), other = passing(3);
  const auto complaint = [&](const MeasureOptions& options) {
    return error_of([&] { measure_all({&graph}, unlabelled, options); });
  };
  EXPECT_NE(complaint({}).find("--score"), std::string::npos);
  EXPECT_NE(complaint({.metric = "top1"}).find("without labels"), std::string::npos);
  EXPECT_NE(complaint({.metric = "mse"}).find("without targets"), std::string::npos);
  EXPECT_NE(complaint({.metric = "sqnr"}).find("name the float model first"), std::string::npos);
  EXPECT_NE(complaint({.metric = "nonsense"}).find("choose top1"), std::string::npos);
  EXPECT_NE(error_of([&] {
              measure_all({&graph, &graph}, unlabelled, {.metric = "sqnr", .threshold = 1.0F});
            }).find("a threshold means nothing to sqnr"),
            std::string::npos);
  const auto labelled = rows_of(2, {1, 2, 3, 4}, {0, 5}, 6);
  EXPECT_NE(error_of([&] { measure_all({&graph}, labelled); }).find("tells only 2 classes apart"),
            std::string::npos);
}

TEST(Measure, one_sample_has_a_value_and_no_interval) {
  const auto data = rows_of(2, {1, 2});
  const Graph first = passing(2), second = passing(2, {"Identity"}, 1.1F);
  const auto reports = measure_all({&first, &second}, data, {.metric = "sqnr"});
  EXPECT_NEAR(reports[0].models[1].value, 20, 1e-3);
  EXPECT_EQ(reports[0].models[1].method, IntervalMethod::none);
}

// state' = state + x, y = state' * factor: the samples are one sequence.
Graph running_sum(float factor) {
  Builder b;
  const ValueId x = b.input("x", {1, 2}), h = b.input("h", {1, 2});
  const ValueId next = b.op("Add", {x, h});
  b.graph.outputs = {b.op("Mul", {next, b.constant(Tensor::scalar(factor))}), next};
  for (const ValueId id : b.graph.outputs) b.graph.value(id).type.shape = Shape{1, 2};
  store_carry(b.graph, {{"h", "Add_out"}});
  return b.graph;
}

TEST(Measure, samples_that_follow_on_one_another_are_drawn_in_runs) {
  Random random(4);
  std::vector<float> values;
  for (int i = 0; i < 200; ++i) values.push_back(static_cast<float>(random.normal()));
  ListedSamples data = rows_of(2, values);
  data.field.name = "x";
  const Graph first = running_sum(1), second = running_sum(1.1F);
  const auto reports =
      measure_all({&first, &second}, data, {.metric = "sqnr", .output = "Mul_out"});
  EXPECT_NEAR(reports[0].models[1].value, 20, 1e-3);
  EXPECT_TRUE(has_note(reports[0].models[1].notes, "draws runs of 5"));
  data.starts.clear();
  for (int64_t i = 0; i < 100; i += 4) data.starts.push_back(i);
  const auto sequences =
      measure_all({&first, &second}, data, {.metric = "sqnr", .output = "Mul_out"});
  EXPECT_TRUE(has_note(sequences[0].models[1].notes, "draws whole sequences"));
}

}  // namespace
}  // namespace nibble
