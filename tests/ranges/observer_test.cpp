#include "ranges/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace nibble {
namespace {

const ObserverRow& min_max() { return find_observer("min-max"); }
const ObserverRow& mse() { return find_observer("mse"); }
const ObserverRow& percentile() { return find_observer("percentile"); }

enum class Law { normal, laplace, relu, relu6, uniform, outliers };
constexpr Law kLaws[] = {Law::normal, Law::laplace, Law::relu,
                         Law::relu6,  Law::uniform, Law::outliers};

std::vector<float> draw(Law law, size_t count, uint64_t seed = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const double z = random.normal();
    double x = z;
    if (law == Law::laplace) x = (z < 0 ? 1 : -1) * std::log(1 - random.uniform());
    if (law == Law::relu) x = std::max(0.0, z);
    if (law == Law::relu6) x = std::clamp(4 * z + 2, 0.0, 6.0);
    if (law == Law::uniform) x = 3 * random.uniform() - 1;
    if (law == Law::outliers && i % 5000 == 17) x = 40 * z;
    values[i] = static_cast<float>(x);
  }
  return values;
}

struct Seen {
  TensorRange range;
  Moments& moments = range.total;
  Histogram& histogram = range.histogram;
  explicit Seen(const std::vector<float>& values) {
    moments.add(values);
    histogram.add(values);
    range.sample_extremes = {1, moments.minimum, moments.maximum};
  }
};

double true_error(const std::vector<float>& values, const QuantParams& params) {
  const Tensor real = Tensor::of<float>({static_cast<int64_t>(values.size())}, std::span(values));
  return squared_error(real, quantize_tensor(real, params), params) /
         static_cast<double>(values.size());
}

TEST(observer, zero_is_exact_whatever_the_range) {
  Random random(9);
  for (int i = 0; i < 400; ++i) {
    const double size = std::exp(40 * (random.uniform() - 0.5));
    const std::vector<float> values = {
        static_cast<float>(size * random.normal()),
        static_cast<float>(size * random.normal() * std::exp(8 * (random.uniform() - 0.5)))};
    const Seen seen(values);
    for (const ObserverRow& row : observers()) {
      for (const int bits : {2, 3, 4, 8, 16}) {
        const QuantParams params = activation_params(seen.range, bits, row);
        EXPECT_GT(params.scale[0], 0);
        EXPECT_TRUE(std::isfinite(params.scale[0]));
        ASSERT_GE(params.zero_point[0], params.qmin);
        ASSERT_LE(params.zero_point[0], params.qmax);
        const Tensor zero = quantize_tensor(Tensor::scalar(0.0F), params);
        EXPECT_EQ(dequantize_tensor(zero, params).data<float>()[0], 0.0F);
      }
    }
  }
}

TEST(observer, min_max_rounds_within_half_a_step) {
  for (const Law law : kLaws) {
    const std::vector<float> values = draw(law, 20000);
    const Seen seen(values);
    for (const int bits : {2, 4, 8}) {
      const QuantParams params = activation_params(seen.range, bits, min_max());
      const Tensor real = Tensor::of<float>({20000}, std::span(values));
      const Tensor rounded = dequantize_tensor(quantize_tensor(real, params), params);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_LE(std::abs(values[i] - rounded.data<float>()[i]), 0.5001F * params.scale[0]);
      }
    }
  }
}

TEST(observer, predicted_error_is_the_true_one) {
  for (const Law law : kLaws) {
    const std::vector<float> values = draw(law, 30000);
    const Seen seen(values);
    for (const ObserverRow& row : observers()) {
      for (const int bits : {2, 3, 4, 6, 8}) {
        const QuantParams params = activation_params(seen.range, bits, row);
        const double predicted =
            rounding_error(seen.moments, seen.histogram, {params.scale[0], params.zero_point[0]},
                           activation_codes(bits));
        const double truth = true_error(values, params);
        EXPECT_NEAR(predicted / truth, 1, law == Law::outliers ? 0.15 : 0.06)
            << "law " << static_cast<int>(law) << " bits " << bits;
      }
    }
  }
}

TEST(observer, mse_is_never_worse_than_the_others_and_better_where_it_matters) {
  for (const Law law : kLaws) {
    const std::vector<float> values = draw(law, 30000);
    const Seen seen(values);
    for (const int bits : {2, 3, 4, 8}) {
      const auto error = [&](const ObserverRow& row) {
        return true_error(values, activation_params(seen.range, bits, row));
      };
      EXPECT_LE(error(mse()), 1.05 * error(min_max()));
      EXPECT_LE(error(mse()), 1.05 * error(percentile()));
    }
  }
  const std::vector<float> values = draw(Law::outliers, 30000);
  const Seen seen(values);
  EXPECT_LT(true_error(values, activation_params(seen.range, 4, mse())),
            0.3 * true_error(values, activation_params(seen.range, 4, min_max())));
}

TEST(observer, symmetric_activations_have_code_zero_in_the_middle) {
  for (const Law law : kLaws) {
    const std::vector<float> values = draw(law, 30000);
    const Seen seen(values);
    for (const int bits : {2, 4, 8, 16}) {
      const auto params = [&](const ObserverRow& row) {
        return activation_params(seen.range, bits, row, Symmetry::symmetric);
      };
      for (const ObserverRow& row : observers()) {
        EXPECT_EQ(params(row).storage, bits == 16 ? DType::i16 : DType::i8);
        EXPECT_EQ(params(row).zero_point[0], 0);
        EXPECT_EQ(params(row).qmin, -params(row).qmax);
        EXPECT_EQ(params(row).qmax, (1 << (bits - 1)) - 1);
      }
      const float reach = std::max(-seen.moments.minimum, seen.moments.maximum);
      EXPECT_FLOAT_EQ(params(min_max()).scale[0],
                      reach / static_cast<float>((1 << (bits - 1)) - 1));
      EXPECT_LE(true_error(values, params(mse())), 1.05 * true_error(values, params(min_max())));
    }
  }
  const Seen zeros(std::vector<float>(10, 0.0F));
  for (const ObserverRow& row : observers()) {
    const QuantParams params = activation_params(zeros.range, 8, row, Symmetry::symmetric);
    EXPECT_EQ(params.scale[0], 1.0F);
    EXPECT_EQ(params.zero_point[0], 0);
  }
}

TEST(observer, percentile_clips_one_in_ten_thousand_on_each_side) {
  const std::vector<float> values = draw(Law::normal, 200000);
  const Seen seen(values);
  const QuantParams params = activation_params(seen.range, 8, percentile());
  const double low = params.scale[0] * static_cast<double>(-params.zero_point[0]);
  const auto below = std::ranges::count_if(values, [&](float value) { return value < low; });
  EXPECT_NEAR(static_cast<double>(below), 20, 12);
}

// Ends of the codes for `bits` bits.
std::pair<double, double> ends(const Seen& seen, std::string_view observer, int bits) {
  const QuantParams params = activation_params(seen.range, bits, find_observer(observer));
  const double scale = params.scale[0];
  return {scale * (params.qmin - params.zero_point[0]),
          scale * (params.qmax - params.zero_point[0])};
}

TEST(observer, entropy_clips_what_is_rare_and_nothing_that_is_common) {
  const Seen even(draw(Law::uniform, 200000));
  EXPECT_NEAR(ends(even, "entropy", 8).first, -1, 0.05);
  EXPECT_NEAR(ends(even, "entropy", 8).second, 2, 0.05);
  // Four standard deviations hold all but 6 in 100,000.
  const Seen normal(draw(Law::normal, 200000));
  EXPECT_GT(ends(normal, "entropy", 8).second, 2.5);
  EXPECT_LE(ends(normal, "entropy", 8).second, normal.moments.maximum * 1.01);
  const Seen positive(draw(Law::relu, 200000));
  EXPECT_EQ(ends(positive, "entropy", 8).first, 0);
  EXPECT_GT(ends(positive, "entropy", 8).second, 2.5);
  const Seen outliers(draw(Law::outliers, 200000));
  ASSERT_GT(outliers.moments.maximum, 40);
  EXPECT_LT(ends(outliers, "entropy", 8).second, 20);
  EXPECT_GT(ends(outliers, "entropy", 8).second, 2.5);
}

TEST(observer, entropy_is_not_led_astray_by_a_value_that_occurs_again_and_again) {
  // A plain background, and the end of a Clip.
  std::vector<float> values = draw(Law::relu6, 200000);
  for (size_t i = 0; i < values.size(); i += 3) values[i] = 0.7F;
  const Seen seen(values);
  EXPECT_GT(ends(seen, "entropy", 8).second, 5);
  EXPECT_GT(ends(seen, "entropy", 4).second, 5);
}

TEST(observer, entropy_of_few_values_is_not_taken_for_a_reason_to_clip) {
  const Seen few(draw(Law::uniform, 500));
  EXPECT_NEAR(ends(few, "entropy", 8).second, few.moments.maximum, 0.1);
}

TEST(observer, moving_average_is_the_mean_of_the_samples_extremes) {
  Seen seen(draw(Law::normal, 1000));
  seen.range.sample_extremes = {10, -2, 3};
  EXPECT_NEAR(ends(seen, "moving-average", 8).first, -2, 0.02);
  EXPECT_NEAR(ends(seen, "moving-average", 8).second, 3, 0.02);
  seen.range.sample_extremes = {};  // not known: as min-max
  EXPECT_EQ(ends(seen, "moving-average", 8), ends(seen, "min-max", 8));
}

TEST(observer, percentile_keeps_the_share_that_is_asked_for) {
  const std::vector<float> values = draw(Law::laplace, 200000);
  const Seen seen(values);
  for (const double percent : {95.0, 99.0, 99.9, 100.0}) {
    const QuantParams params = activation_params(seen.range, 8, {percentile(), percent});
    const double high = params.scale[0] * static_cast<double>(params.qmax - params.zero_point[0]);
    const auto above = std::ranges::count_if(values, [&](float value) { return value > high; });
    // The codes end within a step of it.
    EXPECT_NEAR(static_cast<double>(above) / 200000, (100 - percent) / 100,
                0.1 * (100 - percent) / 100 + 1e-5);
    const float scale = weight_scale(values, weight_codes(8), {percentile(), percent});
    const auto beyond = std::ranges::count_if(
        values, [&](float value) { return std::abs(value) > 127.5F * scale; });
    EXPECT_NEAR(static_cast<double>(beyond) / 200000, 2 * (100 - percent) / 100,
                0.2 * (100 - percent) / 100 + 1e-5);
  }
}

TEST(observer, error_falls_with_every_bit) {
  for (const Law law : kLaws) {
    const std::vector<float> values = draw(law, 20000);
    const Seen seen(values);
    for (const ObserverRow& row : observers()) {
      if (row.name == "entropy") continue;  // counts how many values are clipped, not how far
      double activation = 1e30, weight = 1e30;
      for (int bits = 2; bits <= 8; ++bits) {
        const double a = true_error(values, activation_params(seen.range, bits, row));
        const double w = squared_error(values, weight_scale(values, weight_codes(bits), row),
                                       weight_codes(bits));
        // Percentile clipping has a floor of its own.
        EXPECT_LE(a, activation * (row.name == "percentile" ? 1.01 : 1)) << bits;
        EXPECT_LE(w, weight * (row.name == "percentile" ? 1.01 : 1)) << bits;
        activation = a;
        weight = w;
      }
    }
  }
}

TEST(observer, mse_weight_scale_beats_every_scale_of_a_fine_grid) {
  for (const Law law : {Law::normal, Law::laplace, Law::outliers}) {
    const std::vector<float> values = draw(law, 2000, 3);
    for (const int bits : {2, 3, 4, 8}) {
      const BitCodes codes = weight_codes(bits);
      const float widest = weight_scale(values, codes, min_max());
      const double found = squared_error(values, weight_scale(values, codes, mse()), codes);
      double least = 1e30;
      for (int i = 200; i <= 1000; ++i) {
        least =
            std::min(least, squared_error(values, widest * static_cast<float>(i) / 1000.0F, codes));
      }
      EXPECT_LE(found, 1.01 * least) << bits;
    }
  }
}

TEST(observer, degenerate_tensors_have_finite_scales) {
  const Seen zeros(std::vector<float>(10, 0.0F));
  for (const ObserverRow& row : observers()) {
    const QuantParams params = activation_params(zeros.range, 8, row);
    EXPECT_EQ(params.scale[0], 1.0F);
    EXPECT_EQ(params.zero_point[0], 0);
    for (const float constant : {3.5F, -0.02F, 1e-25F, 3e38F}) {
      const std::vector<float> values(5, constant);
      const Seen seen(values);
      const QuantParams c = activation_params(seen.range, 8, row);
      EXPECT_TRUE(std::isfinite(c.scale[0]));
      const float back =
          dequantize_tensor(quantize_tensor(Tensor::scalar(constant), c), c).data<float>()[0];
      // The percentile observer sees bins, not values.
      EXPECT_NEAR(back, constant,
                  (row.name == "percentile" ? 2e-3 : 1e-6) * std::abs(constant) + 1e-24);
    }
    EXPECT_EQ(weight_scale(std::vector<float>(9, 0.0F), weight_codes(8), row), 1.0F);
  }
  EXPECT_EQ(activation_params({}, 8, mse()).scale[0], 1.0F);
}

TEST(observer, weight_groups_are_channels_or_blocks) {
  ThreadPool pool(2);
  std::vector<float> values(4 * 6);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 11.5F;
  const Tensor weight = Tensor::of<float>({4, 6}, std::span(values));
  const QuantParams channels = weight_params(weight, {.axis = 1}, 8, min_max(), pool);
  ASSERT_EQ(channels.scale.size(), 6U);
  EXPECT_FLOAT_EQ(channels.scale[0], 11.5F / 127);
  const QuantParams blocks =
      weight_params(weight, {.axis = 1, .block_size = 4}, 4, min_max(), pool);
  ASSERT_EQ(blocks.scale.size(), 8U);
  EXPECT_FLOAT_EQ(blocks.scale[0], 11.5F / 8);  // -11.5 takes the code -8
  EXPECT_FLOAT_EQ(blocks.scale[7], 11.5F / 7);
}

}  // namespace
}  // namespace nibble
