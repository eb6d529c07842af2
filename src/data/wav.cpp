#include "data/wav.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>

#include "base/check.h"

namespace nibble {
namespace {

constexpr uint64_t kInteger = 1;
constexpr uint64_t kReal = 3;
constexpr uint64_t kExtensible = 0xFFFE;
constexpr uint64_t kUnknownSize = 0xFFFFFFFF;  // written by programs that write into a pipe

uint64_t little_endian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8U | bytes[i];
  return value;
}

bool is_tag(std::span<const uint8_t> bytes, std::string_view tag) {
  return std::equal(tag.begin(), tag.end(), bytes.begin());
}

WavFormat parse_format(std::span<const uint8_t> chunk) {
  if (chunk.size() < 16) fail(ErrorCode::invalid_data, "corrupt WAV: its format is too short");
  uint64_t tag = little_endian(chunk.first(2));
  if (tag == kExtensible && chunk.size() >= 26) tag = little_endian(chunk.subspan(24, 2));
  WavFormat format{.coding = tag == kReal ? WavFormat::Coding::real : WavFormat::Coding::integer,
                   .bits = static_cast<int>(little_endian(chunk.subspan(14, 2))),
                   .channels = static_cast<int>(little_endian(chunk.subspan(2, 2))),
                   .rate = static_cast<int64_t>(little_endian(chunk.subspan(4, 4)))};
  const int bits = format.bits;
  const bool known = (tag == kInteger && (bits == 8 || bits == 16 || bits == 24 || bits == 32)) ||
                     (tag == kReal && (bits == 32 || bits == 64));
  if (!known) {
    fail(ErrorCode::unsupported,
         "WAV of coding {} with {} bits is not supported (integers of 8 to 32 bits and floats are)",
         tag, bits);
  }
  if (format.channels == 0 || format.rate == 0) {
    fail(ErrorCode::invalid_data, "corrupt WAV: {} channels at {} Hz", format.channels,
         format.rate);
  }
  return format;
}

float point(std::span<const uint8_t> bytes, const WavFormat& format) {
  const uint64_t raw = little_endian(bytes);
  if (format.coding == WavFormat::Coding::real) {
    return format.bits == 32 ? std::bit_cast<float>(static_cast<uint32_t>(raw))
                             : static_cast<float>(std::bit_cast<double>(raw));
  }
  if (format.bits == 8) return (static_cast<float>(raw) - 128.0F) / 128.0F;
  // The sign bit to the top, then as a fraction of 2^31.
  const auto whole = static_cast<int32_t>(static_cast<uint32_t>(raw) << (32 - format.bits));
  return static_cast<float>(static_cast<double>(whole) / 2147483648.0);
}

}  // namespace

WavFormat parse_wav(std::span<const uint8_t> bytes) {
  if (bytes.size() < 12 || !is_tag(bytes, "RIFF") || !is_tag(bytes.subspan(8), "WAVE")) {
    fail(ErrorCode::invalid_data, "not a WAV file");
  }
  std::optional<WavFormat> format;
  for (size_t at = 12; bytes.size() - at >= 8;) {
    const std::span<const uint8_t> header = bytes.subspan(at, 8);
    uint64_t size = little_endian(header.subspan(4));
    at += 8;
    const uint64_t left = bytes.size() - at;
    const bool is_data = is_tag(header, "data");
    if (is_data && size == kUnknownSize) size = left;
    if (size > left) {
      fail(ErrorCode::invalid_data, "truncated WAV: {} bytes are missing", size - left);
    }
    if (is_tag(header, "fmt ")) format = parse_format(bytes.subspan(at, size));
    if (is_data) {
      if (!format) fail(ErrorCode::invalid_data, "corrupt WAV: its data come before its format");
      const auto frame =
          static_cast<uint64_t>(format->channels) * static_cast<uint64_t>(format->bits / 8);
      format->offset = at;
      format->points = static_cast<int64_t>(size / frame);
      return *format;
    }
    at += std::min(size + size % 2, left);
  }
  fail(ErrorCode::invalid_data, "corrupt WAV: there is no sound in it");
}

void read_wav(std::span<const uint8_t> bytes, const WavFormat& format, int64_t begin,
              std::span<float> out) {
  const auto size = static_cast<size_t>(format.bits / 8);
  const auto channels = static_cast<size_t>(format.channels);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t at = begin + static_cast<int64_t>(i);
    double sum = 0;
    for (size_t c = 0; at < format.points && c < channels; ++c) {
      const size_t from = format.offset + (static_cast<size_t>(at) * channels + c) * size;
      sum += static_cast<double>(point(bytes.subspan(from, size), format));
    }
    out[i] = static_cast<float>(sum / static_cast<double>(channels));
  }
}

}  // namespace nibble
