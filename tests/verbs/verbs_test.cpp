// What the command line and the Python package share beside the verbs themselves.
#include <gtest/gtest.h>

#include <cmath>

#include "../runtime/graphs.h"
#include "nibble/quantize.h"
#include "report/score_function.h"
#include "support/errors.h"
#include "verbs/layers.h"
#include "verbs/observed.h"
#include "verbs/samples.h"
#include "verbs/session.h"

namespace nibble {
namespace {

using test::Builder;
using testing::error_of;

Graph doubling() {
  Builder b;
  const ValueId x = b.input("x", {-1, 2});
  b.graph.outputs = {b.op("Mul", {x, b.constant(Tensor::scalar(2.0F))})};
  return b.graph;
}

TEST(Preprocess, keys_of_json_are_taken_over_the_usual_each_for_itself) {
  const Preprocess usual{.resize_shorter = 256, .scale = 0.5F, .mean = {1}};
  const Preprocess result = preprocess_over(usual, R"({"mean": [0.25]})");
  EXPECT_EQ(result.resize_shorter, 256);
  EXPECT_EQ(result.scale, 0.5F);
  EXPECT_EQ(result.mean, std::vector<float>{0.25F});
}

TEST(Preprocess, a_resize_of_one_kind_takes_the_place_of_the_other) {
  const Preprocess exact =
      preprocess_over({.resize_shorter = 256}, R"({"resize_height": 8, "resize_width": 9})");
  EXPECT_EQ(exact.resize_shorter, 0);
  EXPECT_EQ(exact.resize_width, 9);
  const Preprocess shorter = preprocess_over(exact, R"({"resize_shorter": 32})");
  EXPECT_EQ(shorter.resize_height, 0);
  EXPECT_NE(error_of([] { preprocess_over({}, R"({"shrink": 1})"); }).find("shrink"),
            std::string::npos);
}

TEST(Split, a_name_that_is_none_is_refused) {
  EXPECT_EQ(split_named("validation"), Split::validation);
  EXPECT_NE(error_of([] { split_named("val"); }).find("'val' is no part"), std::string::npos);
}

TEST(Session, results_are_the_callers_own_and_shapes_may_change) {
  Session session(std::make_shared<const Graph>(doubling()), Arithmetic::integer, 1);
  const auto run = [&](std::initializer_list<float> values) {
    const auto rows = static_cast<int64_t>(values.size()) / 2;
    return session.run({{"x", Tensor::of<float>({rows, 2}, values)}})[0];
  };
  const Tensor first = run({1, 2});
  for (int64_t rows = 1; rows < 8; ++rows) {  // more shapes than programs are kept
    Tensor x(DType::f32, {rows, 2});
    EXPECT_EQ(session.run({{"x", x}})[0].shape(), (Shape{rows, 2}));
  }
  EXPECT_EQ(run({3, 4, 5, 6}).data<float>()[3], 12);
  EXPECT_EQ(first.data<float>()[1], 4);
}

TEST(Session, an_input_that_is_missing_or_surplus_is_named) {
  Session session(std::make_shared<const Graph>(doubling()), Arithmetic::integer, 1);
  EXPECT_NE(error_of([&] { session.run({}); }).find("input 'x' is not given"), std::string::npos);
  const Tensor x(DType::f32, {1, 2});
  EXPECT_NE(error_of([&] {
              session.run({{"x", x}, {"y", x}});
            }).find("the model has no input 'y'"),
            std::string::npos);
  EXPECT_NE(error_of([] { arithmetic_named("decimal"); }).find("decimal"), std::string::npos);
}

TEST(ObservedGrids, min_max_reaches_the_ends_of_a_range) {
  TensorRange range;
  range.histogram.add(std::vector<float>{-1, 0, 0.5F, 3});
  range.total.add(std::vector<float>{-1, 0, 0.5F, 3});
  const auto grids = observed_grids(range, 8, false);
  ASSERT_EQ(grids.size(), observer_choices().size());
  EXPECT_EQ(grids[0].observer, "min-max");
  EXPECT_NEAR(grids[0].scale, 4.0F / 255, 1e-6);
  EXPECT_NEAR(grids[0].low, -1, 0.01);
  EXPECT_NEAR(grids[0].high, 3, 0.01);
  range.is_weight = true;
  EXPECT_TRUE(observed_grids(range, 8, false).empty());
  EXPECT_NE(error_of([&] { observed_grids(range, 1, false); }).find("2 to 8 bits, not 1"),
            std::string::npos);
}

}  // namespace
}  // namespace nibble
