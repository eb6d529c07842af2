// Image and array files for tests, made on the spot.
#pragma once

#include <gtest/gtest.h>
#include <png.h>
#include <zlib.h>

#include <cstdio>
// jpeglib.h needs the types of cstdio.
#include <jpeglib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"
#include "support/errors.h"

namespace nibble::testing {

/// Smooth, different in every channel, and depending on `seed`.
inline Image test_image(int height, int width, int channels, int seed = 0) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(x * 3 + y * 5 * (c + 1) + seed * 17));
      }
    }
  }
  return image;
}

inline std::string jpeg_of(const Image& image, int quality = 95) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = image.channels;
  info.in_color_space = image.channels == 1   ? JCS_GRAYSCALE
                        : image.channels == 3 ? JCS_RGB
                                              : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < image.height; ++y) {
    auto* row = const_cast<JSAMPLE*>(image.pixels.data()) + y * image.width * image.channels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string result(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return result;
}

/// `value` in its lowest `bytes` bytes.
inline std::string number_bytes(uint64_t value, size_t bytes, bool little) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) {
    text += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)));
  }
  return text;
}

/// An APP1 segment with a camera's name and the orientation.
inline std::string exif_of(int orientation, bool little = true) {
  const auto number = [&](uint64_t value, size_t bytes) {
    return number_bytes(value, bytes, little);
  };
  const auto value = static_cast<uint64_t>(orientation);
  return std::string("Exif\0\0", 6) + (little ? "II" : "MM") + number(42, 2) + number(8, 4) +
         number(2, 2) + number(0x010F, 2) + number(2, 2) + number(1, 4) + number(0, 4) +
         number(0x0112, 2) + number(3, 2) + number(1, 4) + number(value, 2) + number(0, 2) +
         number(0, 4);
}

inline std::string with_exif(const std::string& jpeg, const std::string& segment) {
  return jpeg.substr(0, 2) + "\xFF\xE1" + number_bytes(segment.size() + 2, 2, false) + segment +
         jpeg.substr(2);
}

inline std::string png_of(const Image& image, png_uint_32 format = 0) {
  png_image info{};
  info.version = PNG_IMAGE_VERSION;
  info.width = static_cast<png_uint_32>(image.width);
  info.height = static_cast<png_uint_32>(image.height);
  info.format = format != 0 ? format : image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&info, nullptr, &size, 0, image.pixels.data(), 0, nullptr);
  std::string result(size, '\0');
  png_image_write_to_memory(&info, result.data(), &size, 0, image.pixels.data(), 0, nullptr);
  result.resize(size);
  return result;
}

inline std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline void write_gzip(const std::filesystem::path& path, const std::string& bytes) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
}

/// EXPECT_PRED2(contains, text, part).
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace nibble::testing
