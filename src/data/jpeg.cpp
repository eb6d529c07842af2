// JPEG by libjpeg-turbo. Its errors leave by longjmp, so the functions between setjmp and libjpeg
// own nothing.
#include <csetjmp>
#include <cstdio>
// jpeglib.h needs the types of cstdio.
#include <jerror.h>
#include <jpeglib.h>

#include "base/check.h"
#include "data/codecs.h"
#include "data/exif.h"

namespace nibble {
namespace {

struct Failure {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf leave;
  char message[JMSG_LENGTH_MAX];
};

Failure& failure_of(j_common_ptr info) { return *reinterpret_cast<Failure*>(info->err); }

[[noreturn]] void leave(j_common_ptr info) {
  Failure& failure = failure_of(info);
  failure.manager.format_message(info, failure.message);
  std::longjmp(failure.leave, 1);
}

// libjpeg only warns of damaged data and invents pixels: for training data that is an error.
// Warnings about markers that do not touch the pixels are ignored.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
    case JWRN_BOGUS_PROGRESSION:
      leave(info);
    default:
      break;
  }
}

class JpegReader {
 public:
  explicit JpegReader(std::span<const uint8_t> bytes) {
    info_.err = jpeg_std_error(&failure_.manager);
    failure_.manager.error_exit = leave;
    failure_.manager.emit_message = on_message;
    if (!read_header(bytes)) fail_with_message();
    if (int64_t{info_.image_height} * info_.image_width > kMaxPixels) {
      const auto height = info_.image_height;
      const auto width = info_.image_width;
      jpeg_destroy_decompress(&info_);
      fail(ErrorCode::invalid_data, "the image is too large: {}x{} pixels", height, width);
    }
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  ImageSize size() const {
    return {static_cast<int>(info_.image_height), static_cast<int>(info_.image_width),
            info_.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3};
  }
  int orientation() const {
    for (jpeg_saved_marker_ptr at = info_.marker_list; at != nullptr; at = at->next) {
      if (at->marker != JPEG_APP0 + 1) continue;
      if (const auto found = exif_orientation({at->data, at->data_length})) return *found;
    }
    return 1;
  }
  /// 4 for CMYK, whose pixels to_rgb then turns into 3.
  int stored_channels() const {
    if (info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK) return 4;
    return size().channels;
  }
  bool inverted() const { return info_.saw_Adobe_marker != 0; }

  void decode(uint8_t* pixels) {
    if (!read_pixels(pixels)) fail(ErrorCode::invalid_data, "corrupt JPEG: {}", failure_.message);
  }

 private:
  bool read_header(std::span<const uint8_t> bytes) noexcept {
    if (setjmp(failure_.leave) != 0) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, bytes.data(), static_cast<unsigned long>(bytes.size()));
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool read_pixels(uint8_t* pixels) noexcept {
    if (setjmp(failure_.leave) != 0) return false;
    const int channels = stored_channels();
    info_.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_start_decompress(&info_);
    const size_t row = static_cast<size_t>(info_.output_width) * static_cast<size_t>(channels);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW line = pixels + info_.output_scanline * row;
      jpeg_read_scanlines(&info_, &line, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }
  [[noreturn]] void fail_with_message() {
    jpeg_destroy_decompress(&info_);
    fail(ErrorCode::invalid_data, "corrupt JPEG: {}", failure_.message);
  }

  jpeg_decompress_struct info_{};
  Failure failure_{};
};

// Adobe's programs store CMYK inverted: 255 is no ink.
Image to_rgb(const Image& cmyk, bool inverted) {
  Image rgb{cmyk.height, cmyk.width, 3, {}};
  rgb.pixels.reserve(cmyk.pixels.size() / 4 * 3);
  for (size_t i = 0; i < cmyk.pixels.size(); i += 4) {
    const auto light = [&](size_t c) {
      const unsigned value = cmyk.pixels[i + c];
      return inverted ? value : 255U - value;
    };
    for (size_t c = 0; c < 3; ++c) {
      rgb.pixels.push_back(static_cast<uint8_t>((light(c) * light(3) + 127U) / 255U));
    }
  }
  return rgb;
}

}  // namespace

ImageSize jpeg_size(std::span<const uint8_t> bytes) {
  const JpegReader reader(bytes);
  ImageSize size = reader.size();
  if (swaps_sides(reader.orientation())) std::swap(size.height, size.width);
  return size;
}

Image decode_jpeg(std::span<const uint8_t> bytes) {
  JpegReader reader(bytes);
  const ImageSize size = reader.size();
  const int orientation = reader.orientation();  // decoding forgets it
  Image image{size.height, size.width, reader.stored_channels(), {}};
  image.pixels.resize(static_cast<size_t>(size.height) * static_cast<size_t>(size.width) *
                      static_cast<size_t>(image.channels));
  reader.decode(image.pixels.data());
  if (image.channels == 4) image = to_rgb(image, reader.inverted());
  return upright(std::move(image), orientation);
}

}  // namespace nibble
