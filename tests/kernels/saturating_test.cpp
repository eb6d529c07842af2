// The saturating product against the CPU's own instruction, against plain loops over pairs, and
// against exact sums where nothing saturates.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/conv_cases.h"
#include "kernels/product_saturating.h"
#include "kernels/qconv.h"
#include "kernels/qgemm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nibble {
namespace {

using Codes = std::vector<uint8_t>;
using Weights = std::vector<int8_t>;

TEST(saturating_sum, of_a_pair_stops_at_both_ends_of_16_bits) {
  EXPECT_EQ(saturating_sum(Codes{255, 255}, Weights{127, 127}), 32767);
  EXPECT_EQ(saturating_sum(Codes{255, 255}, Weights{-128, -128}), -32768);
  EXPECT_EQ(saturating_sum(Codes{255, 255}, Weights{64, 64}), 32640);
  EXPECT_EQ(saturating_sum(Codes{255, 255}, Weights{127, -128}), -255);
}

TEST(saturating_sum, adds_pairs_in_32_bits_and_an_odd_last_product_by_itself) {
  EXPECT_EQ(saturating_sum(Codes{255, 255, 255, 255}, Weights{127, 127, 127, 127}), 65534);
  EXPECT_EQ(saturating_sum(Codes{255, 255, 255}, Weights{127, 127, -127}), 32767 - 32385);
  EXPECT_EQ(saturating_sum(Codes{}, Weights{}), 0);
}

#if defined(__x86_64__)
__attribute__((target("ssse3"))) int32_t by_instruction(const uint8_t* codes,
                                                        const int8_t* weights) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights));
  alignas(16) int16_t sums[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(sums), _mm_maddubs_epi16(a, b));
  int32_t sum = 0;
  for (const int16_t pair : sums) sum += pair;
  return sum;
}

TEST(saturating_sum, is_what_vpmaddubsw_gives) {
  if (__builtin_cpu_supports("ssse3") == 0) GTEST_SKIP() << "this CPU has no SSSE3";
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    Codes codes(16);
    Weights weights(16);
    for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(256));
    for (int8_t& w : weights) w = static_cast<int8_t>(random.below(256));
    ASSERT_EQ(saturating_sum(codes, weights), by_instruction(codes.data(), weights.data())) << i;
  }
}
#endif

std::vector<uint8_t> run_saturating(const ConvCase& c, const ConvData& data, ThreadPool& pool) {
  const QConv conv(c.shape, data.weights, data.bias, c.zero_point, data.stage, best_isa(), true);
  std::vector<uint8_t> output(static_cast<size_t>(
      c.shape.window.out_pixels() * c.shape.out_channels * data.stage.element_bytes()));
  std::vector<uint8_t> workspace(conv.workspace_bytes());
  conv.run(data.input.data(), output.data(), workspace.data(), pool);
  return output;
}

// One output element: the exact sum, and what each pair that meets loses.
int32_t with_losses(const ConvCase& c, const ConvData& data, int64_t y, int64_t x,
                    int64_t channel) {
  const ReferenceConv exact{c.shape, data.weights, data.bias, c.zero_point};
  const ConvWindow& w = c.shape.window;
  const int64_t inputs = c.shape.group_inputs();
  const int64_t group = channel / c.shape.group_outputs();
  const auto product = [&](int64_t k) {
    if (k >= c.shape.depth()) return 0;
    const int64_t i = k % inputs, kx = k / inputs % w.kernel_w, ky = k / inputs / w.kernel_w;
    const int64_t iy = y * w.stride_h - w.pad_top + ky * w.dilation_h;
    const int64_t ix = x * w.stride_w - w.pad_left + kx * w.dilation_w;
    const bool inside = iy >= 0 && iy < w.in_h && ix >= 0 && ix < w.in_w;
    const int64_t at = (iy * w.in_w + ix) * c.shape.in_channels + group * inputs + i;
    const int32_t code = inside ? data.input[static_cast<size_t>(at)] : c.zero_point;
    const int64_t weight = ((channel * inputs + i) * w.kernel_h + ky) * w.kernel_w + kx;
    return code * data.weights[static_cast<size_t>(weight)];
  };
  int32_t acc = accumulate(exact, data.input.data(), 0, y, x, channel);
  for (int64_t k = 0; k < c.shape.depth(); k += 2) {
    const int32_t sum = product(k) + product(k + 1);
    acc += std::clamp(sum, -32768, 32767) - sum;
  }
  return acc;
}

// Random convolutions: odd channels, strides, pads, dilations, groups.
ConvCase random_case(Random& random) {
  const auto up_to = [&](uint64_t n) { return static_cast<int64_t>(random.below(n + 1)); };
  const int64_t groups = random.below(2) == 0 ? 1 : 1 + up_to(2);
  ConvCase c =
      conv_case(5 + up_to(3), 6 + up_to(3), groups * (1 + up_to(6)), groups * (2 + up_to(4)),
                1 + up_to(2), 1 + up_to(1), up_to(2), groups, 1 + up_to(1));
  c.zero_point = static_cast<int32_t>(random.below(256));
  return c;
}

TEST(saturating_conv, loses_what_each_pair_loses_along_positions_with_channels_fastest) {
  Random random(11);
  int lossy = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    ConvCase c = random_case(random);
    c.weight_limit = seed % 2 == 0 ? 127 : 128;
    const ConvData data(c, seed);
    ThreadPool pool(1 + static_cast<int>(seed % 3));
    const std::vector<uint8_t> got = run_saturating(c, data, pool);
    const ConvWindow& w = c.shape.window;
    for (int64_t i = 0; i < static_cast<int64_t>(got.size()); ++i) {
      const int64_t channel = i % c.shape.out_channels, pixel = i / c.shape.out_channels;
      const int32_t acc = with_losses(c, data, pixel / w.out_w, pixel % w.out_w, channel);
      ASSERT_EQ(got[static_cast<size_t>(i)], to_code(data.stage, acc, channel)) << to_string(c);
    }
    lossy += got != run_conv(c, data, Isa::reference, pool) ? 1 : 0;
  }
  EXPECT_GT(lossy, 30);
}

TEST(saturating_conv, of_safe_weights_gives_the_codes_of_exact_sums) {
  Random random(12);
  for (uint64_t seed = 0; seed < 60; ++seed) {
    ConvCase c = random_case(random);
    c.weight_limit = 64;
    c.kind = seed % 3 == 0 ? OutputStage::Kind::reals_f32 : OutputStage::Kind::codes_u8;
    const ConvData data(c, seed);
    ThreadPool pool(2);
    ASSERT_EQ(run_saturating(c, data, pool), run_conv(c, data, best_isa(), pool)) << to_string(c);
  }
}

TEST(saturating_conv, depthwise_sums_are_exact) {
  ConvCase c = conv_case(6, 6, 5, 5, 3, 1, 1, 5);
  c.weight_limit = 128;
  const ConvData data(c, 1);
  ThreadPool pool(1);
  EXPECT_EQ(run_saturating(c, data, pool), run_conv(c, data, best_isa(), pool));
}

TEST(saturating_gemm, pairs_along_the_reduction_in_either_layout) {
  const std::vector<uint8_t> a = {255, 255, 255, 255, 255};
  const std::vector<int8_t> kn = {127, 1, 127, 2, 127, 3, -127, 4, 100, 5};
  const std::vector<int8_t> nk = {127, 127, 127, -127, 100, 1, 2, 3, 4, 5};
  OutputStage stage{.kind = OutputStage::Kind::reals_f32, .multiplier = {1, 1}};
  ThreadPool pool(1);
  for (const auto layout : {QGemm::Layout::kn, QGemm::Layout::nk}) {
    const QGemm gemm({.k = 5, .n = 2, .layout = layout}, layout == QGemm::Layout::kn ? kn : nk, {},
                     3, stage, best_isa(), true);
    std::vector<float> out(2);
    gemm.run(a.data(), 1, out.data(), nullptr, pool);
    // 32,767 + (127 - 127) * 255 + 100 * 255 - 3 * 354, and nothing lost in the other column.
    EXPECT_EQ(out[0], 32767 + 25500 - 3 * 354);
    EXPECT_EQ(out[1], 15 * 255 - 3 * 15);
    gemm.run(a.data(), {.scale = 2, .zero_point = 1}, 1, out.data(), nullptr, pool);
    EXPECT_EQ(out[0], 2 * (32767 + 25500 - 354));
  }
}

}  // namespace
}  // namespace nibble
