// GPTQ in whole networks: what quantize() makes of it, against rounding to nearest.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "nibble/quantize.h"
#include "output_error.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;

// Samples whose numbers have a part in common; those of the first `dead` rows of each are zero.
class Correlated final : public testing::Synthetic {
 public:
  Correlated(int64_t size, Shape shape, int64_t dead = 0) : Synthetic(size, shape), dead_(dead) {}
  void read(int64_t index, std::span<float> out) const override {
    Random random(static_cast<uint64_t>(index));
    const double common = random.normal();
    const size_t plane = out.size() / static_cast<size_t>(sample_shape()[0]);
    for (size_t i = 0; i < out.size(); ++i) {
      const double x = common + 0.3 * random.normal();
      out[i] = static_cast<int64_t>(i / plane) < dead_ ? 0 : static_cast<float>(x);
    }
  }
  std::string describe() const override { return "correlated data"; }

 private:
  int64_t dead_;
};

QuantizeOptions options_for(const char* rounding, const Dataset& data) {
  return {.rounding = rounding, .samples = &data, .first_and_last_8bit = false, .threads = 1};
}

struct Result {
  double nearest = 0, gptq = 0;  // SQNR in dB
};
Result compare(const Graph& graph, const Dataset& data, LayerBits bits, int64_t block_size = 0) {
  const RangeReport ranges = analyze(graph, data);
  const auto sqnr = [&](const char* rounding) {
    QuantizeOptions options = options_for(rounding, data);
    options.weight_block_size = block_size;
    return testing::output_sqnr(
        graph, quantize(graph, ranges, {.fallback = bits, .layers = {}}, options), data);
  };
  return {sqnr("nearest"), sqnr("gptq")};
}

TEST(gptq, is_nearer_to_the_float_network_than_nearest) {
  const Graph dense = testing::perceptron(24, 32), convs = testing::three_convs(),
              shortcut = testing::residual();
  for (const int bits : {2, 3, 4}) {
    for (const int activations : {0, 8}) {
      const LayerBits both = {bits, activations};
      const Result a = compare(dense, Correlated(64, {24}), both);
      EXPECT_GT(a.gptq, a.nearest + 3) << bits << ", " << activations;
      const Result b = compare(convs, Correlated(24, {3, 6, 6}), both);
      EXPECT_GT(b.gptq, b.nearest + 1) << bits << ", " << activations;
      const Result c = compare(shortcut, Correlated(24, {3, 6, 6}), both);
      EXPECT_GT(c.gptq, c.nearest + 1) << bits << ", " << activations;
    }
  }
}

TEST(gptq, makes_up_for_coarse_activations_too) {
  const Result result = compare(testing::perceptron(24, 32), Correlated(64, {24}), {4, 4});
  EXPECT_GT(result.gptq, result.nearest + 0.5);
}

TEST(gptq, rounds_weights_in_blocks_with_scales_of_their_own) {
  const Result result = compare(testing::perceptron(32, 32), Correlated(64, {32}), {3, 0}, 8);
  EXPECT_GT(result.gptq, result.nearest + 3);
}

// x [3 rows of 8] times a matrix for each row, then times one for all.
Graph matrices() {
  NetworkBuilder net({-1, 3, 1, 8});
  const ValueId each = net.constant("each_w", net.normal({3, 8, 6}, 0.3));
  net.add({.op = "MatMul", .name = "each", .inputs = {net.last, each}});
  const ValueId all = net.constant("all_w", net.normal({6, 5}, 0.3));
  net.add({.op = "MatMul", .name = "all", .inputs = {net.last, all}});
  return net.finish();
}

TEST(gptq, rounds_batches_of_matrices) {
  const Result result = compare(matrices(), Correlated(48, {3, 1, 8}), {3, 0});
  EXPECT_GT(result.gptq, result.nearest + 1);
}

TEST(gptq, works_with_channels_that_are_always_zero_and_with_few_samples) {
  const Graph graph = testing::perceptron(24, 32);
  const Result dead = compare(graph, Correlated(64, {24}, 5), {4, 8});
  EXPECT_GT(dead.gptq, dead.nearest + 2);
  const Result few = compare(graph, Correlated(3, {24}), {4, 8});
  EXPECT_GT(few.gptq, few.nearest + 2);
}

TEST(gptq, gives_the_same_bytes_with_any_number_of_threads) {
  const Graph graph = testing::three_convs();
  const Correlated data(24, {3, 6, 6});
  const RangeReport ranges = analyze(graph, data);
  const auto made = [&](int threads) {
    QuantizeOptions options = options_for("gptq", data);
    options.threads = threads;
    return quantize(graph, ranges, {.fallback = {4, 8}, .layers = {}}, options);
  };
  const Graph one = made(1), three = made(3);
  ASSERT_EQ(one.value_count(), three.value_count());
  for (int32_t i = 0; i < one.value_count(); ++i) {
    EXPECT_EQ(one.value({i}).type, three.value({i}).type);
    EXPECT_TRUE(testing::same_bytes(one.value({i}).data, three.value({i}).data));
  }
}

TEST(gptq, keeps_codes_within_the_bits_there_are) {
  const Graph graph = testing::perceptron(24, 32);
  const Correlated data(64, {24});
  const RangeReport ranges = analyze(graph, data);
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    const Graph made =
        quantize(graph, ranges, {.fallback = {bits, 8}, .layers = {}}, options_for("gptq", data));
    int weights = 0;
    for (int32_t i = 0; i < made.value_count(); ++i) {
      const Value& value = made.value({i});
      if (!value.type.quant || !value.is_constant() || value.data.shape().rank() != 2) continue;
      ++weights;
      EXPECT_LE(value.type.quant->bits(), bits);
      for (const int32_t code : unpack_integers(value.data)) {
        EXPECT_GE(code, value.type.quant->qmin);
        EXPECT_LE(code, value.type.quant->qmax);
      }
    }
    EXPECT_EQ(weights, 2);
  }
}

TEST(gptq, refuses_data_that_cannot_be_squared_and_names_the_layer) {
  const Graph graph = testing::perceptron(24, 32);
  const testing::Scaled data({64, {24}}, 1e25);
  try {
    quantize(graph, {}, {.fallback = {4, 0}, .layers = {}}, options_for("gptq", data));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_data);
    EXPECT_NE(std::string(error.what()).find("fc1"), std::string::npos) << error.what();
  }
}

TEST(gptq, measures_what_each_choice_of_bits_would_give) {
  const Graph graph = testing::perceptron(24, 32);
  const Correlated data(64, {24});
  const RangeReport ranges = analyze(graph, data);
  const auto sensitivity = [&](const char* rounding) {
    const QuantizeOptions options = options_for(rounding, data);
    return choose_bits(graph, ranges, data, {.average_weight_bits = 4},
                       {.candidates = {4}, .activation_bits = 0, .quantize = options})
        .sensitivities[0]
        .sqnr_db;
  };
  EXPECT_GT(sensitivity("gptq"), sensitivity("nearest") + 3);
}

}  // namespace
}  // namespace nibble
