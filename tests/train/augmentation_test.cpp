#include "train/augmentations/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nibble/error.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

/// Two pixels high, three wide; channel c of pixel i is 10 * c + i, normalised.
class Pictures final : public RealDataset {
 public:
  explicit Pictures(int64_t channels, std::optional<Preprocess> preprocess = std::nullopt)
      : channels_(channels), preprocess_(std::move(preprocess)) {}
  int64_t size() const override { return 8; }
  Shape sample_shape() const override { return {channels_, 2, 3}; }
  void read(int64_t, std::span<float> out) const override { std::iota(out.begin(), out.end(), 0); }
  std::string describe() const override { return "pictures"; }
  std::optional<Preprocess> preprocess() const override { return preprocess_; }

 private:
  int64_t channels_;
  std::optional<Preprocess> preprocess_;
};

const AugmentationRow& row(std::string_view key) {
  return *std::ranges::find_if(
      augmentations(), [&](const AugmentationRow& one) { return one.option.spec.key == key; });
}

ImageFormat plain(int64_t channels, int64_t height, int64_t width) {
  ImageFormat format{.channels = channels, .height = height, .width = width};
  const auto count = static_cast<size_t>(channels);
  format.mean.assign(count, 0);
  format.std.assign(count, 1);
  format.luma.assign(count, 1 / static_cast<float>(count));
  return format;
}

std::vector<float> counted(size_t count) {
  std::vector<float> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

/// What the row makes of 1, 2, 3, ... with each of so many seeds.
std::vector<std::vector<float>> results(std::string_view key, const ImageFormat& format,
                                        const TrainOptions& options, int seeds = 50) {
  std::vector<std::vector<float>> all;
  for (int seed = 0; seed < seeds; ++seed) {
    std::vector<float> image =
        counted(static_cast<size_t>(format.channels * format.height * format.width));
    Random random(static_cast<uint64_t>(seed));
    row(key).apply({format, image}, options, random);
    all.push_back(std::move(image));
  }
  return all;
}

TEST(augmentation, flip_mirrors_half_of_the_images_left_right) {
  const auto all = results("flip", plain(2, 1, 3), {.flip = true}, 400);
  const std::vector<float> as_it_was = {1, 2, 3, 4, 5, 6}, mirrored = {3, 2, 1, 6, 5, 4};
  EXPECT_NEAR(std::ranges::count(all, mirrored), 200, 50);
  EXPECT_EQ(std::ranges::count(all, mirrored) + std::ranges::count(all, as_it_was), 400);
}

TEST(augmentation, channels_last_are_flipped_along_their_own_width) {
  ImageFormat format = plain(2, 1, 3);
  format.channels_last = true;
  const auto all = results("flip", format, {.flip = true});
  EXPECT_EQ(std::ranges::count(all, std::vector<float>{5, 6, 3, 4, 1, 2}) +
                std::ranges::count(all, counted(6)),
            50);
}

TEST(augmentation, crop_shifts_by_each_distance_up_to_the_padding_and_fills_with_zero) {
  const auto all = results("crop_padding", plain(1, 1, 3), {.crop_padding = 1}, 400);
  for (const std::vector<float>& wanted : {std::vector<float>{1, 2, 3}, {0, 1, 2}, {2, 3, 0}}) {
    EXPECT_NEAR(std::ranges::count(all, wanted), 400.0 / 9, 25);
  }
  EXPECT_NEAR(std::ranges::count(all, std::vector<float>{0, 0, 0}), 400.0 * 2 / 3, 50)
      << "shifted up or down, of a single row nothing is left";
}

TEST(augmentation, brightness_is_a_factor_of_all_pixels) {
  double least = 9, most = 0;
  for (const auto& image : results("brightness", plain(1, 1, 3), {.brightness = 0.25}, 200)) {
    const float factor = image[0];
    EXPECT_GE(factor, 0.75F);
    EXPECT_LE(factor, 1.25F);
    EXPECT_FLOAT_EQ(image[1], 2 * factor);
    EXPECT_FLOAT_EQ(image[2], 3 * factor);
    least = std::min<double>(least, factor);
    most = std::max<double>(most, factor);
  }
  EXPECT_LT(least, 0.77);
  EXPECT_GT(most, 1.23);
}

TEST(augmentation, colours_change_pixels_and_not_their_normalised_numbers) {
  ImageFormat format = plain(1, 1, 3);
  format.mean = {0.5};
  format.std = {2};
  for (const auto& image : results("brightness", format, {.brightness = 0.25})) {
    const float factor = (image[0] * 2 + 0.5F) / 2.5F;  // the pixels are 2.5, 4.5 and 6.5
    EXPECT_NEAR(image[1], (4.5F * factor - 0.5F) / 2, 1e-5);
    EXPECT_NEAR(image[2], (6.5F * factor - 0.5F) / 2, 1e-5);
  }
}

TEST(augmentation, pixels_stay_between_black_and_white) {
  ImageFormat format = plain(1, 1, 3);
  format.white = 2.5F;
  for (const auto& image : results("brightness", format, {.brightness = 2})) {
    for (const float number : image) {
      EXPECT_GE(number, 0);
      EXPECT_LE(number, 2.5F);
    }
  }
}

TEST(augmentation, contrast_keeps_the_mean_grey) {
  for (const auto& image : results("contrast", plain(1, 1, 3), {.contrast = 0.5})) {
    EXPECT_NEAR(image[1], 2, 1e-6);
    EXPECT_NEAR(image[0] + image[2], 4, 1e-5);
  }
}

TEST(augmentation, saturation_keeps_the_grey_of_each_pixel) {
  ImageFormat format = plain(3, 1, 1);
  format.luma = {0.5, 0.25, 0.25};
  for (const auto& image : results("saturation", format, {.saturation = 0.9})) {
    EXPECT_NEAR(0.5F * image[0] + 0.25F * image[1] + 0.25F * image[2], 1.75, 1e-5);
  }
}

TEST(augmentation, cutout_erases_one_square_in_all_channels) {
  for (const auto& image : results("cutout", plain(2, 5, 5), {.cutout = 3}, 100)) {
    const auto gone = std::ranges::count(image, 0.0F);
    EXPECT_GE(gone, 2 * 2 * 2);
    EXPECT_LE(gone, 2 * 3 * 3);
    for (size_t i = 0; i < 25; ++i) EXPECT_EQ(image[i] == 0, image[25 + i] == 0);
  }
}

TEST(augmentation, shares_of_mixup_are_of_a_beta_distribution) {
  Random random(1);
  for (const double alpha : {0.2, 1.0, 2.0}) {
    double sum = 0, squares = 0;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      const double share = mixup_share(alpha, random);
      sum += share;
      squares += share * share;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, 0.5, 0.02);
    EXPECT_NEAR(squares / kDraws - mean * mean, 1 / (4 * (2 * alpha + 1)), 0.005) << alpha;
  }
}

TEST(augmentation, a_sample_is_augmented_by_seed_and_number_alone) {
  const Pictures data(3);
  TrainOptions options{.flip = true, .crop_padding = 1, .brightness = 0.5, .cutout = 1};
  const Augmenter augmenter(data, options);
  const auto augmented = [&](uint64_t seed, int64_t index) {
    std::vector<float> image = counted(18);
    augmenter.apply(image, seed, index);
    return image;
  };
  EXPECT_EQ(augmented(3, 1), augmented(3, 1));
  EXPECT_NE(augmented(3, 1), augmented(3, 2));
  EXPECT_NE(augmented(3, 1), augmented(4, 1));
}

TEST(augmentation, what_is_not_asked_for_leaves_samples_as_they_are) {
  EXPECT_FALSE(Augmenter(Pictures(3), {}).active());
  EXPECT_FALSE(Augmenter(Pictures(3), {.mixup = 0.2}).active());  // of pairs, in Batches
}

TEST(augmentation, the_format_follows_from_how_pictures_were_prepared) {
  Preprocess preprocess{.color = Preprocess::Color::bgr, .mean = {1, 2, 3}, .std = {4, 5, 6}};
  preprocess.layout = Preprocess::Layout::hwc;
  const ImageFormat format = image_format(Pictures(2, preprocess), "--flip");
  EXPECT_EQ(format.height, 2);  // of [2,2,3], read as [H,W,C]
  EXPECT_EQ(format.channels, 3);
  EXPECT_EQ(format.mean, (std::vector<float>{1, 2, 3}));
  EXPECT_FLOAT_EQ(format.white, 1);
  EXPECT_FLOAT_EQ(format.luma[2], 0.299F);  // red comes last
}

TEST(augmentation, samples_that_it_is_not_for_are_refused_by_name) {
  const auto message = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return error.message();
    }
    return "no error";
  };
  EXPECT_EQ(message([] { Augmenter(Pictures(2), {.saturation = 0.1}); }),
            "--saturation is for colour images, the samples have 2 channels");
  class Rows final : public RealDataset {
    int64_t size() const override { return 1; }
    Shape sample_shape() const override { return {7}; }
    void read(int64_t, std::span<float>) const override {}
    std::string describe() const override { return "rows"; }
  };
  EXPECT_EQ(message([] { Augmenter(Rows(), {.cutout = 2}); }),
            "--cutout is for images [C,H,W], the samples are [7]");
}

}  // namespace
}  // namespace nibble
