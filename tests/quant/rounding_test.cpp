// Rounding methods, as quantize(), choose_bits() and dynamic quantization ask them.
#include "ranges/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "nibble/quantize.h"
#include "output_error.h"
#include "support/networks.h"

namespace nibble {
namespace {

using testing::Synthetic;

// Toward zero: another method than nearest, which every caller must use when it is asked to.
std::vector<RoundedWeight> truncate(const RoundingScope& scope, ThreadPool&) {
  std::vector<RoundedWeight> rounded;
  for (const WeightToRound& one : scope.weights) {
    std::vector<int32_t> integers;
    for (int64_t i = 0; i < one.weight.elements(); ++i) {
      const auto group = static_cast<size_t>(quant_group(one.params, one.weight.shape(), i));
      const float code =
          std::trunc(one.weight.data<float>()[static_cast<size_t>(i)] / one.params.scale[group]);
      integers.push_back(std::clamp(static_cast<int32_t>(code), one.params.qmin, one.params.qmax));
    }
    rounded.push_back({.codes = pack_integers(one.params.storage, one.weight.shape(), integers)});
  }
  return rounded;
}
const RoundingRegistration kTruncate({.name = "truncate", .summary = "a test", .round = truncate});

// Checks that the samples are the float layer's own, then rounds to nearest.
std::vector<RoundedWeight> check_samples(const RoundingScope& scope, ThreadPool& pool) {
  const WeightToRound& one = scope.weights[0];
  const std::span<const float> w = one.weight.data<float>();
  const int64_t in = one.weight.shape()[0], out = one.weight.shape()[1];
  int64_t rows = 0;
  one.samples->visit([&](const LayerBatch& batch) {
    const Tensor &data = batch.data, &result = batch.result;
    for (int64_t r = 0; r < data.shape()[0]; ++r, ++rows) {
      // The bias drops out of the difference of two outputs of the first row and of this one.
      double sum = 0, first = 0;
      for (int64_t k = 0; k < in; ++k) {
        sum += static_cast<double>(data.data<float>()[static_cast<size_t>(r * in + k)]) *
               w[static_cast<size_t>(k * out)];
        first += static_cast<double>(data.data<float>()[static_cast<size_t>(k)]) *
                 w[static_cast<size_t>(k * out)];
      }
      const double difference =
          static_cast<double>(result.data<float>()[static_cast<size_t>(r * out)]) -
          result.data<float>()[0];
      EXPECT_NEAR(difference, sum - first, 1e-3);
    }
  });
  EXPECT_EQ(rows, 64) << one.node->name;
  return {{.codes = round_weight(find_rounding("nearest"), one.weight, one.params, pool)}};
}
const RoundingRegistration kChecks({.name = "checks samples",
                                    .summary = "a test",
                                    .needs_layer_samples = true,
                                    .round = check_samples});

struct Fixture {
  Graph graph = testing::perceptron();
  Synthetic data{64, {12}};
  RangeReport ranges = analyze(graph, data);
  Graph rounded(const QuantizeOptions& options) const {
    return quantize(graph, ranges, {.fallback = {4, 8}, .layers = {}}, options);
  }
};

TEST(rounding, quantize_choose_and_dynamic_use_the_method_they_are_told) {
  const Fixture f;
  QuantizeOptions nearest{.first_and_last_8bit = false}, truncated = nearest;
  truncated.rounding = "truncate";
  const double good = testing::output_sqnr(f.graph, f.rounded(nearest), f.data);
  EXPECT_LT(testing::output_sqnr(f.graph, f.rounded(truncated), f.data), good - 3);
  const auto measured = [&](const QuantizeOptions& options) {
    return choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 4},
                       {.candidates = {4}, .quantize = options})
        .sensitivities[0]
        .sqnr_db;
  };
  EXPECT_LT(measured(truncated), measured(nearest) - 3);
  const auto dynamic = [&](QuantizeOptions options) {
    options.dynamic = true;
    return testing::output_sqnr(
        f.graph, quantize(f.graph, {}, {.fallback = {8, 8}, .layers = {}}, options), f.data);
  };
  EXPECT_LT(dynamic(truncated), dynamic(nearest));
}

TEST(rounding, a_method_gets_the_samples_of_the_float_layer) {
  const Fixture f;
  QuantizeOptions options{.first_and_last_8bit = false};
  const Graph nearest = f.rounded(options);
  options.rounding = "checks samples";
  options.samples = &f.data;
  EXPECT_EQ(to_text(f.rounded(options)), to_text(nearest));
}

TEST(rounding, a_method_that_looks_at_data_is_refused_without) {
  const Fixture f;
  QuantizeOptions options{.rounding = "checks samples"};
  EXPECT_THROW(f.rounded(options), Error);
  options.samples = &f.data;
  options.dynamic = true;
  EXPECT_THROW(quantize(f.graph, {}, {.fallback = {8, 8}, .layers = {}}, options), Error);
}

TEST(rounding, unknown_methods_are_refused_with_the_names_there_are) {
  const Fixture f;
  try {
    f.rounded({.rounding = "up"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("nearest"), std::string::npos);
  }
}

}  // namespace
}  // namespace nibble
