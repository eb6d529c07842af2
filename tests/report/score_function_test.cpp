// A metric that is a function of the caller's.
#include "report/score_function.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../runtime/graphs.h"
#include "report/listed_samples.h"
#include "support/errors.h"

namespace nibble {
namespace {

using test::Builder;
using testing::error_of;

Graph times(float factor) {
  Builder b;
  const ValueId x = b.input("x", {-1, 2});
  b.graph.outputs = {b.op("Mul", {x, b.constant(Tensor::scalar(factor))})};
  return b.graph;
}

double first_number(std::span<const Tensor> outputs, const Dataset&, int64_t) {
  return static_cast<double>(outputs[0].data<float>()[0]);
}

TEST(ScoreFunction, its_mean_is_the_value_and_the_first_model_what_others_differ_from) {
  const Graph once = times(1), thrice = times(3);
  const auto data = test::rows_of(2, {1, 0, 2, 0, 6, 0});
  const std::vector<MeasuredModel> models = {{.name = "a", .graph = &once, .data = &data},
                                             {.name = "b", .graph = &thrice, .data = &data}};
  const MetricReport report =
      measure_by_function(models, {.name = "first", .of = first_number}, {.batch = 2});
  EXPECT_EQ(report.metric, "first");
  EXPECT_DOUBLE_EQ(report.models[0].value, 3);
  EXPECT_DOUBLE_EQ(report.models[1].value, 9);
  EXPECT_EQ(report.models[1].per_sample, (std::vector<double>{3, 6, 18}));
  EXPECT_DOUBLE_EQ(report.differences[1].value, 6);
  EXPECT_EQ(report.models[0].method, IntervalMethod::bootstrap);
  EXPECT_LT(report.models[0].interval.low, 3);
}

TEST(ScoreFunction, a_number_that_is_none_names_the_sample) {
  const Graph once = times(1);
  const auto data = test::rows_of(2, {1, 0, 2, 0});
  const std::vector<MeasuredModel> models = {{.name = "a", .graph = &once, .data = &data}};
  const auto of = [](std::span<const Tensor>, const Dataset&, int64_t sample) {
    return sample == 1 ? std::nan("") : 0.0;
  };
  EXPECT_NE(error_of([&] {
              measure_by_function(models, {.name = "first", .of = of}, {});
            }).find("evaluating a: first is nan for sample 1"),
            std::string::npos);
}

}  // namespace
}  // namespace nibble
