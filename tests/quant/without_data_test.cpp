// Where nothing is measured, no ranges are needed.
#include <gtest/gtest.h>

#include "nibble/quantize.h"
#include "support/errors.h"
#include "support/networks.h"

namespace nibble {
namespace {

int packed_weights(const Graph& graph) {
  int count = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (value.is_constant() && value.type.quant) ++count;
  }
  return count;
}

TEST(WithoutData, weights_alone_are_quantized) {
  const BitPlan plan{.fallback = {.weight_bits = 4, .activation_bits = 0}};
  QuantizeReport report;
  const Graph small = quantize(testing::perceptron(), RangeReport{}, plan, {}, &report);
  EXPECT_GT(report.quantized_layers, 0);
  EXPECT_EQ(packed_weights(small), report.quantized_layers);
}

TEST(WithoutData, ranges_may_be_found_at_run_time) {
  QuantizeReport report;
  const Graph small =
      quantize(testing::perceptron(), RangeReport{}, {}, {.dynamic = true}, &report);
  EXPECT_GT(report.quantized_layers, 0);
}

TEST(WithoutData, activations_say_what_they_lack) {
  const std::string message =
      testing::error_of([] { quantize(testing::perceptron(), RangeReport{}, {}); });
  EXPECT_NE(message.find("holds nothing of value"), std::string::npos) << message;
  EXPECT_NE(message.find("measure ranges with analyze()"), std::string::npos) << message;
}

}  // namespace
}  // namespace nibble
