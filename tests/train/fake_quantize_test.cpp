// The learned step size against its definition, value by value and by central differences.
#include <cmath>
#include <limits>

#include "train/fixtures.h"

namespace nibble {
namespace {

QuantParams per_tensor(float scale, int32_t zero_point, int32_t qmin, int32_t qmax) {
  return {.storage = qmin < 0 ? DType::i8 : DType::u8,
          .qmin = qmin,
          .qmax = qmax,
          .scale = {scale},
          .zero_point = {zero_point},
          .granularity = Granularity::per_tensor,
          .axis = 0,
          .block_size = 0};
}

FakeQuantized run(const Tensor& x, const QuantParams& params, const Tensor& upstream) {
  return train_backend().fake_quantize(x, params, upstream);
}

Tensor ones(const Shape& shape) {
  Tensor tensor(DType::f32, shape);
  std::ranges::fill(tensor.data<float>(), 1.0F);
  return tensor;
}

TEST(FakeQuantize, makes_the_lowest_code_of_nan_and_passes_no_gradient_on) {
  NIBBLE_NEEDS_TRAINING();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::of<float>({2}, {nan, 0.3F});
  const FakeQuantized result = run(x, per_tensor(0.1F, 3, 0, 15), ones({2}));
  EXPECT_EQ(result.output.data<float>()[0], 0.1F * -3);
  EXPECT_EQ(result.input_gradient.data<float>()[0], 0);
  EXPECT_EQ(result.input_gradient.data<float>()[1], 1);
  EXPECT_TRUE(std::isfinite(result.scale_gradient.data<float>()[0]));
}

TEST(FakeQuantize, gives_the_bits_of_quantize_tensor_at_every_tie_and_beyond_both_ends) {
  NIBBLE_NEEDS_TRAINING();
  for (const QuantParams& params : {per_tensor(0.1F, 0, -7, 7), per_tensor(0.037F, 3, 0, 15),
                                    per_tensor(0.5F, 128, 0, 255), per_tensor(1e-3F, 0, -1, 1)}) {
    Tensor x(DType::f32, {2400});
    const std::span<float> values = x.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {  // ties, and their neighbours in f32
      const float half = (static_cast<float>(i / 3) - 400) * 0.5F * params.scale[0];
      const float towards = i % 3 == 0 ? -1e9F : 1e9F;
      values[i] = i % 3 == 1 ? half : std::nextafter(half, towards);
    }
    const Tensor expected = dequantize_tensor(quantize_tensor(x, params), params);
    const Tensor output = run(x, params, ones(x.shape())).output;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(output.data<float>()[i], expected.data<float>()[i]) << values[i];
    }
  }
}

TEST(FakeQuantize, passes_the_gradient_inside_the_range_and_stops_it_at_and_beyond_the_edges) {
  NIBBLE_NEEDS_TRAINING();
  const QuantParams params = per_tensor(0.5F, 4, 0, 15);  // reals from -2 to 5.5
  const Tensor x = Tensor::of<float>({7}, {-3, -2, -1.9F, 0.2F, 5.4F, 5.5F, 9});
  const Tensor upstream = Tensor::of<float>({7}, {1, 2, 3, 4, 5, 6, 7});
  const FakeQuantized result = run(x, params, upstream);
  const std::vector<float> expected = {0, 0, 3, 4, 5, 0, 0};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(result.input_gradient.data<float>()[i], expected[i]) << i;
  }
}

TEST(FakeQuantize, the_step_size_learns_the_clipped_code_outside_and_the_rounding_inside) {
  NIBBLE_NEEDS_TRAINING();
  const QuantParams params = per_tensor(0.5F, 4, 0, 15);
  const auto slope = [&](float x) {
    return run(Tensor::of<float>({1}, {x}), params, ones({1})).scale_gradient.data<float>()[0];
  };
  EXPECT_FLOAT_EQ(slope(-3), -4);    // qmin - zero_point
  EXPECT_FLOAT_EQ(slope(-2), -4);    // the lower edge itself
  EXPECT_FLOAT_EQ(slope(5.5F), 11);  // the upper edge itself
  EXPECT_FLOAT_EQ(slope(100), 11);   // qmax - zero_point
  EXPECT_FLOAT_EQ(slope(0), 0);
  EXPECT_NEAR(slope(0.2F), 0 - 0.4, 1e-6);
  EXPECT_NEAR(slope(0.3F), 1 - 0.6, 1e-6);
}

// With the rounding offset held (the straight-through estimator), the output is differentiable in
// the scale: s * (clamp(x / s) + offset).
TEST(FakeQuantize, scale_gradients_equal_central_differences_per_channel) {
  NIBBLE_NEEDS_TRAINING();
  QuantParams params = per_tensor(0.1F, 0, -7, 7);
  params.granularity = Granularity::per_channel;
  params.axis = 1;
  params.scale = {0.1F, 0.25F, 0.03F};
  params.zero_point = {0, 0, 0};
  const Tensor x = testing::random_tensor({4, 3, 5}, 1);
  const Tensor upstream = testing::random_tensor({4, 3, 5}, 2);
  const Tensor slopes = run(x, params, upstream).scale_gradient;
  ASSERT_EQ(slopes.elements(), 3);
  for (size_t channel = 0; channel < 3; ++channel) {
    const double scale = params.scale[channel];
    const auto loss = [&](double s) {
      double sum = 0;
      for (int64_t i = 0; i < x.elements(); ++i) {
        if (static_cast<size_t>(quant_group(params, x.shape(), i)) != channel) continue;
        const auto at = static_cast<size_t>(i);
        const double v = x.data<float>()[at] / scale;
        const bool inside = v > -7 && v < 7;
        const double code =
            inside ? x.data<float>()[at] / s + std::nearbyint(v) - v : std::clamp(v, -7.0, 7.0);
        sum += upstream.data<float>()[at] * s * code;
      }
      return sum;
    };
    const double h = 1e-5;
    const double expected = (loss(scale + h) - loss(scale - h)) / (2 * h);
    EXPECT_NEAR(slopes.data<float>()[channel], expected, 1e-4 * std::max(1.0, std::abs(expected)));
  }
}

TEST(FakeQuantize, blocks_have_a_step_size_each_even_the_last_short_one) {
  NIBBLE_NEEDS_TRAINING();
  QuantParams params = per_tensor(0, 0, -7, 7);
  params.granularity = Granularity::per_block;
  params.axis = 1;
  params.block_size = 4;
  params.scale = {0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F};  // [2, ceil(10 / 4)]
  params.zero_point.assign(6, 0);
  const Tensor x = testing::random_tensor({2, 10}, 3);
  const FakeQuantized result = run(x, params, ones(x.shape()));
  const Tensor expected = dequantize_tensor(quantize_tensor(x, params), params);
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(result.output.data<float>()[i], expected.data<float>()[i]);
  }
  EXPECT_EQ(result.scale_gradient.elements(), 6);
}

}  // namespace
}  // namespace nibble
