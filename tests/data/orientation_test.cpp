// How pictures lie: EXIF orientation, letterboxes, channels first or last.
#include <gtest/gtest.h>

#include "../support/temp_folder.h"
#include "base/file.h"
#include "data/exif.h"
#include "make_files.h"

namespace nibble {
namespace {

using testing::as_bytes;
using testing::contains;
using testing::error_of;
using testing::exif_of;
using testing::jpeg_of;
using testing::png_of;
using testing::TempFolder;
using testing::test_image;
using testing::with_exif;

// a b c
// d e f
const Image kStored{2, 3, 1, {'a', 'b', 'c', 'd', 'e', 'f'}};

std::string text_of(const Image& image) {
  std::string text;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    if (i > 0 && i % static_cast<size_t>(image.width) == 0) text += '/';
    text += static_cast<char>(image.pixels[i]);
  }
  return text;
}

TEST(Exif, all_eight_orientations_come_upright) {
  const std::vector<std::string> expected = {"abc/def",  "cba/fed",  "fed/cba",  "def/abc",
                                             "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad"};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(text_of(upright(kStored, orientation)),
              expected[static_cast<size_t>(orientation) - 1])
        << orientation;
  }
}

TEST(Exif, both_orders_of_bytes_are_read_and_damage_is_none) {
  for (const bool little : {true, false}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      EXPECT_EQ(exif_orientation(as_bytes(exif_of(orientation, little))), orientation);
    }
    EXPECT_EQ(exif_orientation(as_bytes(exif_of(9, little))), std::nullopt);
  }
  const std::string whole = exif_of(6, true);
  for (size_t size = 0; size < 30; ++size) {
    EXPECT_EQ(exif_orientation(as_bytes(whole.substr(0, size))), std::nullopt) << size;
  }
}

TEST(Exif, a_photograph_is_decoded_as_it_was_seen) {
  Image image{16, 32, 1, {}};
  for (int i = 0; i < 16 * 32; ++i) image.pixels.push_back(i % 32 < 16 ? 20 : 220);
  const std::string turned = with_exif(jpeg_of(image), exif_of(6, true));  // left is now above
  EXPECT_EQ(image_size(as_bytes(turned)), (ImageSize{32, 16, 1}));
  const Image upright_image = decode_image(as_bytes(turned));
  ASSERT_EQ(upright_image.height, 32);
  ASSERT_EQ(upright_image.width, 16);
  EXPECT_LT(upright_image.pixels.front(), 60);
  EXPECT_GT(upright_image.pixels.back(), 180);
}

TEST(Letterbox, the_aspect_ratio_is_kept_and_the_rest_is_padded) {
  const Image image{1, 2, 1, {10, 20}};
  const ImageTransform transform({.color = Preprocess::Color::grey,
                                  .resize_height = 5,
                                  .resize_width = 2,
                                  .letterbox = true,
                                  .pad_value = 114,
                                  .scale = 1},
                                 {1, 2, 1});
  EXPECT_EQ(transform.output_shape(), (Shape{1, 5, 2}));
  std::vector<float> out(10);
  transform.apply(image, out);
  EXPECT_EQ(out, (std::vector<float>{114, 114, 114, 114, 10, 20, 114, 114, 114, 114}));
  // A picture of another size becomes one of the same shape.
  transform.apply(Image{10, 2, 1, std::vector<uint8_t>(20, 50)}, out);
  EXPECT_EQ(out, (std::vector<float>{50, 114, 50, 114, 50, 114, 50, 114, 50, 114}));
}

TEST(Letterbox, needs_a_size_and_no_crop) {
  EXPECT_PRED2(contains, error_of([] { preprocess_from_json(R"({"letterbox": true})"); }),
               "a letterbox needs resize_height");
  EXPECT_PRED2(contains, error_of([] { preprocess_from_json(R"({"pad_value": 256})"); }),
               "'pad_value' is 256");
  const Preprocess letterbox{.resize_height = 5, .resize_width = 2, .letterbox = true};
  EXPECT_EQ(preprocess_from_json(to_json(letterbox)), letterbox);
}

TEST(Preprocess, absurd_sizes_are_refused_before_memory_is_taken) {
  for (const int extent : {-1, 1 << 30}) {
    const Preprocess preprocess{.resize_height = extent, .resize_width = 5};
    EXPECT_PRED2(contains, error_of([&] {
                   ImageTransform(preprocess, {1, 2, 1});
                 }),
                 std::to_string(extent) + " pixels");
  }
}

TEST(Layout, channels_last_are_the_same_numbers) {
  const Image image{1, 2, 3, {1, 2, 3, 4, 5, 6}};
  const auto values = [&](Preprocess::Layout layout) {
    const ImageTransform transform({.scale = 1, .mean = {0, 1, 2}, .layout = layout}, {1, 2, 3});
    std::vector<float> out(6);
    transform.apply(image, out);
    return std::pair(transform.output_shape(), out);
  };
  EXPECT_EQ(values(Preprocess::Layout::chw),
            std::pair(Shape({3, 1, 2}), (std::vector<float>{1, 4, 1, 4, 1, 4})));
  EXPECT_EQ(values(Preprocess::Layout::hwc),
            std::pair(Shape({1, 2, 3}), (std::vector<float>{1, 1, 1, 4, 4, 4})));
  EXPECT_EQ(preprocess_from_json(R"({"layout": "hwc"})").layout, Preprocess::Layout::hwc);
  EXPECT_PRED2(contains, error_of([] { preprocess_from_json(R"({"layout": "nhwc"})"); }),
               "\"chw\" or \"hwc\"");
}

TEST(Layout, the_models_input_says_layout_channels_and_scale) {
  const TempFolder folder;
  folder.write("a.png", png_of(test_image(4, 6, 3)));
  const auto preprocess_for = [&](DType dtype, const Shape& shape) {
    const DataOptions options{.inputs = {{.name = "x", .dtype = dtype, .shape = shape}}};
    return *open_dataset(folder.path().string(), options)->preprocess();
  };
  EXPECT_EQ(preprocess_for(DType::f32, {-1, 3, 4, 6}), Preprocess{});
  EXPECT_EQ(preprocess_for(DType::f32, {-1, 4, 6, 3}),
            (Preprocess{.layout = Preprocess::Layout::hwc}));
  EXPECT_EQ(preprocess_for(DType::f32, {-1, 1, 4, 6}),
            (Preprocess{.color = Preprocess::Color::grey}));
  EXPECT_EQ(preprocess_for(DType::u8, {-1, -1, -1, 3}),
            (Preprocess{.scale = 1, .layout = Preprocess::Layout::hwc}));
}

}  // namespace
}  // namespace nibble
