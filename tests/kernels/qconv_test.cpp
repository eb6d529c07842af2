#include "kernels/qconv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>

#include "kernels/conv_cases.h"
#include "nibble/error.h"
#include "support/isa.h"

namespace nibble {
namespace {

std::vector<Isa> fast_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512_vnni}) {
    if (is_supported(isa)) isas.push_back(isa);
  }
  return isas;
}

// Every instruction set this CPU has gives the reference's bytes.
void expect_reference(const ConvCase& c, uint64_t seed, int threads = 1) {
  const ConvData data(c, seed);
  ThreadPool pool(threads);
  const std::vector<uint8_t> expected = run_conv(c, data, Isa::reference, pool);
  for (const Isa isa : fast_isas()) {
    const std::vector<uint8_t> got = run_conv(c, data, isa, pool);
    const auto [at, _] = std::mismatch(expected.begin(), expected.end(), got.begin());
    ASSERT_EQ(got, expected) << name_of(isa) << ", " << threads << " threads: " << to_string(c)
                             << "first difference at byte " << at - expected.begin();
  }
}

constexpr int64_t kAwkward[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                13, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65};

TEST(qconv, equals_the_reference_for_awkward_input_channels) {
  for (const int64_t in : kAwkward) {
    ConvCase c = conv_case(5, 6, in, 17, 3, 1, 1);
    c.zero_point = static_cast<int32_t>(in * 4 % 256);
    expect_reference(c, static_cast<uint64_t>(in));
  }
}

TEST(qconv, equals_the_reference_for_awkward_output_channels) {
  for (const int64_t out : kAwkward) {
    expect_reference(conv_case(4, 5, 6, out, 3), static_cast<uint64_t>(out));
    expect_reference(conv_case(4, 5, 8, out, 1), static_cast<uint64_t>(out));
  }
}

TEST(qconv, equals_the_reference_for_every_width) {
  for (int64_t width = 1; width <= 33; ++width) {
    for (const int64_t out : {7, 16, 32, 64}) {
      expect_reference(conv_case(3, width, 4, out, 3, 1, 1), static_cast<uint64_t>(width));
    }
  }
}

TEST(qconv, equals_the_reference_for_strides_pads_and_dilations) {
  Random random(7);
  const auto up_to = [&](uint64_t n) { return static_cast<int64_t>(random.below(n + 1)); };
  for (uint64_t i = 0; i < 300; ++i) {
    ConvCase c;
    ConvWindow& w = c.shape.window;
    c.shape.groups = random.below(3) == 0 ? 1 + up_to(3) : 1;
    c.shape.in_channels = c.shape.groups * (1 + up_to(9));
    c.shape.out_channels = c.shape.groups * (1 + up_to(20));
    w.batch = 1 + up_to(2);
    w.kernel_h = 1 + up_to(4);
    w.kernel_w = 1 + up_to(4);
    w.stride_h = 1 + up_to(2);
    w.stride_w = 1 + up_to(2);
    w.dilation_h = 1 + up_to(2);
    w.dilation_w = 1 + up_to(2);
    w.pad_top = up_to(3);
    w.pad_left = up_to(3);
    const int64_t pad_bottom = up_to(3);
    const int64_t pad_right = up_to(3);
    w.in_h = (w.kernel_h - 1) * w.dilation_h + 1 + up_to(6);
    w.in_w = (w.kernel_w - 1) * w.dilation_w + 1 + up_to(9);
    w.out_h = window_output(w.in_h, w.pad_top, pad_bottom, w.kernel_h, w.stride_h, w.dilation_h);
    w.out_w = window_output(w.in_w, w.pad_left, pad_right, w.kernel_w, w.stride_w, w.dilation_w);
    c.zero_point = static_cast<int32_t>(up_to(255));
    c.kind = random.below(2) != 0 ? OutputStage::Kind::codes_u8 : OutputStage::Kind::reals_f32;
    expect_reference(c, i, 1 + static_cast<int>(i % 3));
  }
}

TEST(qconv, equals_the_reference_for_every_thread_count) {
  for (const int threads : {1, 2, 3}) {
    expect_reference(conv_case(30, 31, 32, 48, 3, 1, 1), 1, threads);
    expect_reference(conv_case(1, 1, 2048, 1000, 1), 2, threads);
    expect_reference(conv_case(40, 40, 24, 96, 1), 3, threads);
  }
}

TEST(qconv, depthwise_equals_the_reference) {
  for (const int64_t channels : kAwkward) {
    for (const int64_t kernel : {1, 2, 3, 5}) {
      for (const int64_t stride : {1, 2}) {
        for (const int64_t dilation : {1, 2}) {
          ConvCase c =
              conv_case(9, 10, channels, channels, kernel, stride, kernel / 2, channels, dilation);
          c.zero_point = static_cast<int32_t>(channels * 3);
          c.kind = channels % 3 == 0 ? OutputStage::Kind::reals_f32 : OutputStage::Kind::codes_u8;
          expect_reference(c, static_cast<uint64_t>(channels * 10 + kernel));
        }
      }
    }
  }
}

// One column of output: pixels follow each other at the distance of a line.
TEST(qconv, depthwise_of_one_column_equals_the_reference) {
  for (const int64_t channels : {4, 8, 16, 32}) {
    for (const int64_t pad : {0, 1}) {
      ConvCase c = conv_case(9, 3 - 2 * pad, channels, channels, 3, 1, pad, channels);
      c.shape.window.batch = 3;
      expect_reference(c, static_cast<uint64_t>(channels));
      c.shape.window.in_h = c.shape.window.kernel_h = c.shape.window.out_h = 1;
      c.shape.window.pad_top = 0;
      expect_reference(c, static_cast<uint64_t>(channels));
    }
  }
}

TEST(qconv, depthwise_with_a_multiplier_equals_the_reference) {
  for (const int64_t channels : {1, 3, 16, 17}) {
    expect_reference(conv_case(7, 7, channels, 2 * channels, 3, 1, 1, channels), 5);
  }
}

// Pairs of weights whose products exceed 16 bits, where vpmaddubsw would saturate.
TEST(qconv, extreme_weights_and_codes_do_not_saturate) {
  for (const int64_t in : {4, 5, 16, 64}) {
    ConvCase c = conv_case(4, 4, in, 33, 3, 1, 1);
    c.weight_limit = 128;
    c.zero_point = 255;
    expect_reference(c, 1);
    c.kind = OutputStage::Kind::reals_f32;
    c.zero_point = 0;
    expect_reference(c, 2);
    ConvCase depthwise = conv_case(6, 6, in, in, 3, 1, 1, in);
    depthwise.weight_limit = 128;
    expect_reference(depthwise, 3);
  }
}

// Small weights are summed in 16 bits, more of them the smaller they are, and lie in memory in
// fewer bits: 64 and 65 are on either side of what two products may be, 8 and 9 of what 4 bits
// hold.
TEST(qconv, equals_the_reference_for_weights_of_every_size) {
  for (const int limit : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127}) {
    for (const bool extreme : {false, true}) {
      for (const int64_t in : {1, 3, 4, 7, 8, 12, 20, 33, 64, 132}) {
        for (const int64_t out : {1, 8, 17, 32, 65}) {
          ConvCase c = conv_case(3, 7, in, out, 1);
          c.weight_limit = limit;
          c.extreme = extreme;
          c.zero_point = static_cast<int32_t>(in);
          expect_reference(c, static_cast<uint64_t>(limit * 100 + out));
          c = conv_case(4, 9, in, out, 3, 1, 1);
          c.weight_limit = limit;
          c.extreme = extreme;
          c.kind = OutputStage::Kind::reals_f32;
          if (out % 8 != 0) expect_reference(c, static_cast<uint64_t>(limit * 100 + in));
        }
      }
    }
  }
}

// With small codes, larger weights and more of them fit 16 bits.
TEST(qconv, equals_the_reference_for_codes_of_few_bits) {
  for (const int bits : {1, 2, 4, 6, 7}) {
    for (const int limit : {2, 8, 17, 64, 127}) {
      for (const bool extreme : {false, true}) {
        ConvCase c = conv_case(4, 7, 36, 33, 3, 1, 1);
        c.greatest_code = (1 << bits) - 1;
        c.weight_limit = limit;
        c.extreme = extreme;
        c.zero_point = c.greatest_code / 2;
        expect_reference(c, static_cast<uint64_t>(bits * 100 + limit));
      }
    }
  }
}

TEST(qconv, padding_may_be_the_greatest_code) {
  ConvCase c = conv_case(4, 7, 36, 33, 3, 1, 2);
  c.greatest_code = 3;
  c.zero_point = 255;
  c.weight_limit = 127;
  expect_reference(c, 1);
}

TEST(qconv, says_how_its_weights_lie) {
  if (!is_supported(Isa::avx2)) GTEST_SKIP();
  const ConvCase c = conv_case(1, 1, 64, 32, 1);
  ConvData data(c, 1);
  const auto described = [&](int8_t first_half, int8_t second_half) {
    std::fill(data.weights.begin(), data.weights.begin() + 16 * 64, first_half);
    std::fill(data.weights.begin() + 16 * 64, data.weights.end(), second_half);
    return QConv(c.shape, data.weights, data.bias, 0, data.stage, Isa::avx2).describe();
  };
  EXPECT_EQ(described(7, -8), "conv u8s4 1x1 avx2");
  EXPECT_EQ(described(7, 64), "conv u8s8 1x1 avx2");
  EXPECT_EQ(described(64, 65), "conv u8s8 (16 of 32 channels in 16 bits) 1x1 avx2");
}

// Panels of channels whose weights have another size than those of their neighbours.
TEST(qconv, equals_the_reference_where_panels_of_one_layer_differ) {
  for (const int64_t pixels : {1, 4, 6, 7, 13, 40}) {
    const ConvCase c = conv_case(1, pixels, 24, 200, 1);
    ConvData data(c, static_cast<uint64_t>(pixels));
    constexpr int kLimits[] = {127, 7, 64, 2, 31};
    for (size_t i = 0; i < data.weights.size(); ++i) {
      const int limit = kLimits[i / 24 / 16 % 5];
      data.weights[i] = static_cast<int8_t>(data.weights[i] % (limit + 1));
    }
    ThreadPool pool(2);
    const std::vector<uint8_t> expected = run_conv(c, data, Isa::reference, pool);
    for (const Isa isa : fast_isas()) {
      EXPECT_EQ(run_conv(c, data, isa, pool), expected) << name_of(isa) << " " << pixels;
    }
  }
}

TEST(qconv, groups_of_small_weights_equal_the_reference) {
  for (const int limit : {7, 8, 30, 64}) {
    ConvCase c = conv_case(5, 8, 36, 60, 3, 1, 1, 3);
    c.weight_limit = limit;
    expect_reference(c, 1);
    c.extreme = true;
    expect_reference(c, 2);
  }
}

// One weight of 1 and one input: the accumulator is the code minus the zero point, plus the bias.
TEST(qconv, output_ties_round_to_the_even_code) {
  ConvCase c = conv_case(1, 256, 1, 1, 1);
  ConvData data(c, 1);
  for (size_t i = 0; i < 256; ++i) data.input[i] = static_cast<uint8_t>(i);
  data.weights = {1};
  ThreadPool pool;
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    for (const int32_t bias : {-128, 0, 128}) {
      data.bias = {bias};
      data.stage = {.multiplier = {0.5F}, .zero_point = 100, .qmin = 0, .qmax = 255};
      const std::vector<uint8_t> out = run_conv(c, data, isa, pool);
      for (int32_t i = 0; i < 256; ++i) {
        // Half of an integer: rounded down, then up if that is odd and there was a half.
        const int32_t acc = i + bias;
        const int32_t down = (acc - (acc & 1)) / 2;
        const int32_t rounded = (acc & 1) != 0 && (down & 1) != 0 ? down + 1 : down;
        EXPECT_EQ(out[static_cast<size_t>(i)], std::clamp(rounded + 100, 0, 255))
            << name_of(isa) << " acc " << acc;
      }
    }
  }
}

TEST(qconv, the_clamp_holds_for_sums_far_outside) {
  ConvCase c = conv_case(1, 40, 4, 3, 1);
  ConvData data(c, 1);
  data.bias = {2000000000, -2000000000, 0};
  data.stage.multiplier = {1e30F, 1e30F, 1.0F};
  data.stage.zero_point = 3;
  data.stage.qmin = 2;
  data.stage.qmax = 250;
  ThreadPool pool;
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    const std::vector<uint8_t> out = run_conv(c, data, isa, pool);
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(out[3 * i], 250) << name_of(isa);
      EXPECT_EQ(out[3 * i + 1], 2) << name_of(isa);
    }
  }
}

TEST(qconv, a_layer_that_might_overflow_is_refused) {
  const ConvCase c = conv_case(1, 1, 4, 1, 1);
  ConvData data(c, 1);
  data.weights = {127, -127, 127, 127};
  data.bias = {INT32_MAX - 255 * 4 * 127};
  EXPECT_NO_THROW(QConv(c.shape, data.weights, data.bias, 0, data.stage));
  data.bias = {INT32_MAX - 255 * 4 * 127 + 1};
  try {
    QConv(c.shape, data.weights, data.bias, 0, data.stage);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
  }
}

TEST(qconv, extents_that_do_not_fit_are_refused) {
  const ConvCase c = conv_case(4, 4, 4, 4, 3);
  const ConvData data(c, 1);
  ConvShape groups = c.shape;
  groups.groups = 3;
  EXPECT_THROW(QConv(groups, data.weights, data.bias, 0, data.stage), Error);
  EXPECT_THROW(QConv(c.shape, std::span(data.weights).first(5), data.bias, 0, data.stage), Error);
  EXPECT_THROW(QConv(c.shape, data.weights, std::span(data.bias).first(3), 0, data.stage), Error);
  EXPECT_THROW(QConv(c.shape, data.weights, data.bias, 256, data.stage), Error);
  OutputStage stage = data.stage;
  stage.multiplier.pop_back();
  EXPECT_THROW(QConv(c.shape, data.weights, data.bias, 0, stage), Error);
}

}  // namespace
}  // namespace nibble
