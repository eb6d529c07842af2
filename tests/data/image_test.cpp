#include "data/image.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "make_files.h"

namespace nibble {
namespace {

using testing::as_bytes;
using testing::contains;
using testing::error_of;
using testing::jpeg_of;
using testing::png_of;
using testing::test_image;

TEST(Png, grey_and_colour_come_back_exactly) {
  for (int channels : {1, 3}) {
    const Image image = test_image(13, 17, channels);
    const Image back = decode_image(as_bytes(png_of(image)));
    EXPECT_EQ(back.height, 13);
    EXPECT_EQ(back.width, 17);
    EXPECT_EQ(back.channels, channels);
    EXPECT_EQ(back.pixels, image.pixels);
  }
}

TEST(Png, alpha_is_dropped_not_blended) {
  const Image image{1, 2, 4, {10, 20, 30, 0, 40, 50, 60, 128}};
  const Image back = decode_image(as_bytes(png_of(image, PNG_FORMAT_RGBA)));
  EXPECT_EQ(back.pixels, (std::vector<uint8_t>{10, 20, 30, 40, 50, 60}));
}

TEST(Jpeg, grey_and_colour_come_back_nearly) {
  for (int channels : {1, 3}) {
    Image image{16, 24, channels, {}};
    for (int i = 0; i < 16 * 24; ++i) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(60 + 50 * c + i % 24 + i / 24));
      }
    }
    const Image back = decode_image(as_bytes(jpeg_of(image, 100)));
    ASSERT_EQ(back.pixels.size(), image.pixels.size());
    EXPECT_EQ(back.channels, channels);
    for (size_t i = 0; i < back.pixels.size(); ++i) {
      EXPECT_LE(std::abs(back.pixels[i] - image.pixels[i]), 3);
    }
  }
}

TEST(Jpeg, cmyk_becomes_rgb) {
  // Written without Adobe's marker inverted: libjpeg writes the marker, so 255 is no ink.
  Image image{8, 8, 4, {}};
  for (int i = 0; i < 64; ++i) image.pixels.insert(image.pixels.end(), {255, 128, 0, 255});
  const Image back = decode_image(as_bytes(jpeg_of(image, 100)));
  ASSERT_EQ(back.channels, 3);
  EXPECT_NEAR(back.pixels[0], 255, 2);
  EXPECT_NEAR(back.pixels[1], 128, 2);
  EXPECT_NEAR(back.pixels[2], 0, 2);
}

TEST(Decode, other_files_are_refused) {
  EXPECT_PRED2(contains, error_of([] { decode_image(as_bytes("")); }), "empty");
  EXPECT_PRED2(contains, error_of([] { decode_image(as_bytes("GIF89a...")); }),
               "neither a JPEG nor a PNG");
}

TEST(Decode, every_truncation_is_an_error) {
  for (const std::string& file : {jpeg_of(test_image(24, 24, 3)), png_of(test_image(24, 24, 3))}) {
    // A JPEG that lacks only its end marker, or a PNG its last chunk, is complete but for that.
    const size_t complete = file.size() - 16;
    for (size_t size = 0; size < complete; ++size) {
      EXPECT_THROW(decode_image(as_bytes(file).first(size)), Error) << size;
    }
  }
}

TEST(Decode, flipped_bits_give_an_image_or_an_error) {
  Random random(1);
  for (const std::string& file : {jpeg_of(test_image(24, 24, 3)), png_of(test_image(24, 24, 3)),
                                  jpeg_of(test_image(24, 24, 1))}) {
    int errors = 0;
    for (int round = 0; round < 2000; ++round) {
      std::string damaged = file;
      for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        const uint64_t bit = random.below(damaged.size() * 8);
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      }
      try {
        const Image image = decode_image(as_bytes(damaged));
        EXPECT_EQ(image.pixels.size(), static_cast<size_t>(image.height) *
                                           static_cast<size_t>(image.width) *
                                           static_cast<size_t>(image.channels));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_data);
        ++errors;
      }
    }
    EXPECT_GT(errors, 200);
  }
}

TEST(Decode, an_oversized_image_is_refused_before_memory_is_taken) {
  std::string file = jpeg_of(test_image(8, 8, 3));
  const size_t frame = file.find("\xFF\xC0");
  ASSERT_NE(frame, std::string::npos);
  file.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");  // 65,500 x 65,500 pixels
  EXPECT_PRED2(contains, error_of([&] { decode_image(as_bytes(file)); }), "too large");
}

// What Pillow 13.0 gives for Image.resize((width, height), Image.BILINEAR) of the 7x11 image of
// (x * 37 + y * 59 + x * y * 13) mod 256.
struct Resized {
  int height;
  int width;
  std::vector<uint8_t> pixels;
};
const Resized kPillow[] = {
    {3, 4, {100, 120, 126, 135, 164, 140, 120, 119, 141, 131, 123, 135}},
    {10, 5, {30,  102, 175, 66,  84,  68,  125, 113, 121, 129, 117, 140, 89,  154, 170, 166, 132,
             162, 118, 184, 183, 144, 134, 119, 134, 176, 158, 114, 110, 97,  149, 170, 108, 96,
             81,  129, 163, 109, 151, 103, 131, 145, 105, 158, 142, 142, 126, 100, 142, 180}},
    {9, 13, {0,   28,  60,  91,  122, 154, 185, 216, 70,  23,  54,  86,  114, 39,  74,  113, 152,
             138, 59,  97,  135, 115, 128, 166, 165, 69,  85,  128, 176, 170, 112, 61,  108, 155,
             124, 136, 183, 197, 131, 131, 181, 203, 145, 93,  140, 148, 203, 121, 85,  114, 171,
             221, 177, 235, 142, 108, 172, 197, 45,  109, 174, 100, 46,  111, 169, 223, 136, 128,
             179, 191, 117, 141, 46,  88,  130, 100, 51,  117, 127, 113, 168, 184, 154, 135, 96,
             81,  145, 150, 122, 100, 65,  59,  140, 178, 156, 128, 133, 78,  96,  173, 171, 149,
             147, 98,  98,  186, 126, 125, 144, 64,  161, 42,  100, 197, 196, 136, 224}}};

TEST(Resize, equals_pillow) {
  Image image{7, 11, 1, {}};
  for (int y = 0; y < 7; ++y) {
    for (int x = 0; x < 11; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(x * 37 + y * 59 + x * y * 13));
    }
  }
  for (const Resized& expected : kPillow) {
    const Image resized =
        resize(image, {expected.height, expected.width, 0, 0, expected.height, expected.width});
    EXPECT_EQ(resized.pixels, expected.pixels) << expected.height << "x" << expected.width;
  }
}

TEST(Resize, a_flat_image_stays_flat) {
  const Image image{5, 9, 3, std::vector<uint8_t>(135, 201)};
  for (int extent : {1, 2, 3, 7, 31, 64}) {
    const Image resized = resize(image, {extent, extent, 0, 0, extent, extent});
    for (uint8_t pixel : resized.pixels) ASSERT_EQ(pixel, 201);
  }
}

std::vector<float> transformed(const Image& image, const Preprocess& preprocess) {
  const ImageTransform transform(preprocess, {image.height, image.width, image.channels});
  std::vector<float> out(static_cast<size_t>(transform.output_shape().elements()));
  transform.apply(image, out);
  return out;
}

TEST(Transform, orders_channels_and_normalizes) {
  const Image image{1, 2, 3, {10, 20, 30, 40, 50, 60}};
  EXPECT_EQ(transformed(image, {.scale = 1}), (std::vector<float>{10, 40, 20, 50, 30, 60}));
  EXPECT_EQ(transformed(image, {.color = Preprocess::Color::bgr, .scale = 1}),
            (std::vector<float>{30, 60, 20, 50, 10, 40}));
  EXPECT_EQ(transformed(image, {.scale = 2, .mean = {1, 2, 3}, .std = {1, 2, 4}}),
            (std::vector<float>{19, 79, 19, 49, 14.25F, 29.25F}));
  // (19595 * 10 + 38470 * 20 + 7471 * 30 + 32768) >> 16 = 18.
  EXPECT_EQ(transformed(image, {.color = Preprocess::Color::grey, .scale = 1}),
            (std::vector<float>{18, 48}));
  EXPECT_EQ(transformed({1, 1, 1, {7}}, {.scale = 1}), (std::vector<float>{7, 7, 7}));
}

TEST(Transform, crops_the_centre) {
  const Image image = test_image(6, 8, 1);
  const auto out = transformed(
      image, {.color = Preprocess::Color::grey, .crop_height = 2, .crop_width = 4, .scale = 1});
  ASSERT_EQ(out.size(), 8U);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(out[i], image.pixels[(2 + i / 4) * 8 + 2 + i % 4]);
}

TEST(Transform, resizing_then_cropping_is_the_crop_of_the_resized) {
  const Image image = test_image(40, 60, 3);
  const auto full = transformed(image, {.resize_shorter = 32, .scale = 1});  // 32 x 48
  const auto part =
      transformed(image, {.resize_shorter = 32, .crop_height = 20, .crop_width = 20, .scale = 1});
  for (size_t c = 0; c < 3; ++c) {
    for (size_t y = 0; y < 20; ++y) {
      for (size_t x = 0; x < 20; ++x) {
        EXPECT_EQ(part[(c * 20 + y) * 20 + x], full[(c * 32 + y + 6) * 48 + x + 14]);
      }
    }
  }
}

TEST(Transform, another_size_is_an_error_that_says_what_to_do) {
  const ImageTransform transform({}, {8, 8, 3});
  std::vector<float> out(3 * 64);
  const std::string message = error_of([&] { transform.apply(test_image(8, 9, 3), out); });
  EXPECT_PRED2(contains, message, "8x9");
  EXPECT_PRED2(contains, message, "resize");
}

TEST(Transform, what_does_not_fit_is_refused) {
  EXPECT_PRED2(contains, error_of([] {
                 ImageTransform({.crop_height = 9, .crop_width = 9}, {8, 8, 3});
               }),
               "does not fit");
  EXPECT_THROW(ImageTransform({.mean = {1, 2}}, {8, 8, 3}), Error);
  EXPECT_THROW(ImageTransform({.std = {1, 0, 1}}, {8, 8, 3}), Error);
  EXPECT_THROW(ImageTransform({.resize_height = 4}, {8, 8, 3}), Error);
}

}  // namespace
}  // namespace nibble
