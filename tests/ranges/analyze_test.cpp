#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/random.h"
#include "nibble/error.h"
#include "nibble/ranges.h"
#include "ranges/collector.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/sanitizers.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::Synthetic;

Graph identity_graph(const Shape& shape) {
  Graph graph;
  graph.opsets[""] = 21;
  const ValueId x = graph.add_value("x", {.dtype = DType::f32, .shape = shape, .quant = {}});
  const ValueId y = graph.add_value("y", {.dtype = DType::f32, .shape = shape, .quant = {}});
  graph.inputs = {x};
  graph.outputs = {y};
  graph.add_node({.op = "Identity", .name = "copy", .inputs = {x}, .outputs = {y}});
  return graph;
}

TEST(analyze, finds_what_the_data_hold) {
  const Synthetic data(100, {3, 8, 8});
  const RangeReport report = analyze(identity_graph({-1, 3, 8, 8}), data, {.batch = 7});
  EXPECT_EQ(report.samples, 100);
  const TensorRange* x = report.find("x");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->total.count, 100 * 3 * 64);
  EXPECT_EQ(x->histogram.total(), x->total.count);
  EXPECT_EQ(x->shape, (Shape{-1, 3, 8, 8}));
  ASSERT_EQ(x->channels.size(), 3U);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(x->channels[c].mean, static_cast<double>(c), 0.05);
    EXPECT_NEAR(x->channels[c].stddev(), 1, 0.05);
  }
  EXPECT_NEAR(x->total.mean, 1, 0.03);
  ASSERT_EQ(x->errors.size(), 5U);
  for (size_t i = 1; i < x->errors.size(); ++i) {
    EXPECT_LT(x->errors[i].bits, x->errors[i - 1].bits);
    EXPECT_LT(x->errors[i].sqnr_db, x->errors[i - 1].sqnr_db);
  }
  EXPECT_GT(x->errors[0].sqnr_db, 35);
}

TEST(analyze, is_the_same_for_any_number_of_threads) {
  const Synthetic data(50, {5, 6, 6});
  const Graph graph = identity_graph({-1, 5, 6, 6});
  const std::string one = to_json(analyze(graph, data, {.batch = 8, .threads = 1}));
  EXPECT_EQ(to_json(analyze(graph, data, {.batch = 8, .threads = 2})), one);
  EXPECT_EQ(to_json(analyze(graph, data, {.batch = 8, .threads = 3})), one);
}

TEST(analyze, takes_what_a_fixed_batch_takes) {
  const Synthetic data(10, {1, 4, 4});
  EXPECT_EQ(analyze(identity_graph({4, 1, 4, 4}), data).samples, 8);
  EXPECT_EQ(analyze(identity_graph({1, 1, 4, 4}), data).samples, 10);
  EXPECT_EQ(analyze(identity_graph({16, 1, 4, 4}), data).samples, 10);  // filled up
}

TEST(analyze, names_the_value_and_the_sample_that_is_not_finite) {
  Synthetic data(40, {3, 8, 8});
  data.bad_sample = 33;
  const Graph graph = identity_graph({-1, 3, 8, 8});
  const auto why = [&] { return analyze(graph, data, {.batch = 16}).find("x")->unusable; };
  EXPECT_EQ(why(), "it is NaN for sample 33 of the data set");
  data.bad_value = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(why(), "it is infinite for sample 33 of the data set");
}

TEST(analyze, refuses_empty_data_and_samples_that_do_not_fit) {
  const Graph graph = identity_graph({-1, 3, 8, 8});
  EXPECT_NE(error_of([&] {
              analyze(graph, Synthetic(0, {3, 8, 8}));
            }).find("is empty"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              analyze(graph, Synthetic(5, {3, 8, 9}));
            }).find("[3,8,9]"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              analyze(graph, Synthetic(5, {8, 8}));
            }).find("input 'x'"),
            std::string::npos);
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST(analyze, memory_does_not_grow_with_the_samples) {
#ifdef NIBBLE_SANITIZED
  GTEST_SKIP() << "sanitizers keep what is freed, and count for themselves";
#endif
  const Graph graph = identity_graph({-1, 3, 64, 64});
  analyze(graph, Synthetic(64, {3, 64, 64}));
  const int64_t before = resident_bytes();
  const RangeReport report = analyze(graph, Synthetic(1000, {3, 64, 64}));  // 49 MB of samples
  EXPECT_LT(resident_bytes() - before, int64_t{24} << 20);
  EXPECT_LE(report.tensors[0].histogram.counts().size(), static_cast<size_t>(Histogram::kBins));
  EXPECT_EQ(report.tensors[0].channels.size(), 3U);
}

TEST(collector, sees_columns_of_a_matrix_as_channels) {
  ThreadPool pool(2);
  Collector collector("logits", "fc", 1, false);
  const Tensor batch = Tensor::of<float>({2, 3}, {1, 2, 3, 5, 0, 7});
  collector.add(batch, {}, pool);
  collector.add(batch, {1, 2}, pool);
  const TensorRange range = collector.finish();
  ASSERT_EQ(range.channels.size(), 3U);
  EXPECT_EQ(range.channels[0].mean, 3);
  EXPECT_EQ(range.channels[1].zeros, 2);
  EXPECT_EQ(range.channels[2].maximum, 7);
  EXPECT_EQ(range.total.count, 12);
}

TEST(collector, counts_outliers_beyond_four_deviations) {
  ThreadPool pool(1);
  Collector collector("x", "", -1, false);
  std::vector<float> values(10000, 0.01F);
  for (size_t i = 0; i < 10; ++i) values[i * 100] = i % 2 == 0 ? 50.0F : -50.0F;
  collector.add(Tensor::of<float>({10000}, std::span(values)), {}, pool);
  EXPECT_NEAR(collector.finish().outlier_share, 0.001, 1e-6);
}

TEST(collector, knows_what_each_sample_reaches) {
  Random random(3);
  for (const Shape& shape : {Shape{4}, Shape{4, 3}, Shape{4, 3, 5}, Shape{4, 5, 3}, Shape{4, 1}}) {
    const Tensor batch = testing::random_tensor(shape, random, 2);
    const int64_t each = batch.elements() / 4;
    double low = 0, high = 0;
    for (int64_t sample = 0; sample < 4; ++sample) {
      const auto row = batch.data<float>().subspan(static_cast<size_t>(sample * each),
                                                   static_cast<size_t>(each));
      low += *std::ranges::min_element(row) / 4;
      high += *std::ranges::max_element(row) / 4;
    }
    for (const int axis : {-1, 1, 2}) {
      for (const int threads : {1, 2, 3}) {
        ThreadPool pool(threads);
        Collector collector("x", "", axis, false);
        collector.add(batch, {}, pool);
        collector.add(batch, {1, 4}, pool);
        const SampleExtremes seen = collector.finish().sample_extremes;
        EXPECT_EQ(seen.samples, 8);
        EXPECT_NEAR(seen.minimum, low, 1e-5);
        EXPECT_NEAR(seen.maximum, high, 1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace nibble
