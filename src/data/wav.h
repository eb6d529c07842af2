// Sound as RIFF WAVE files hold it (Multimedia Programming Interface and Data Specifications 1.0,
// Microsoft and IBM, 1991; the extensible form of 2001).
#pragma once

#include <cstdint>
#include <span>

namespace nibble {

struct WavFormat {
  enum class Coding : uint8_t { integer, real };
  Coding coding = Coding::integer;
  int bits = 16;  // integers: 8 (unsigned), 16, 24 or 32; reals: 32 or 64
  int channels = 1;
  int64_t rate = 0;    // points per second
  size_t offset = 0;   // of the data
  int64_t points = 0;  // in each channel
};

/// Throws Error{invalid_data} (without the file's name) for what is no WAVE file, is truncated or
/// damaged, or is coded in another way (compressed, say: Error{unsupported}).
WavFormat parse_wav(std::span<const uint8_t> bytes);

/// Points [begin, begin + out.size()), the mean of the channels, in [-1, 1]; zero beyond the end.
/// `bytes` are those the format was parsed from.
void read_wav(std::span<const uint8_t> bytes, const WavFormat& format, int64_t begin,
              std::span<float> out);

}  // namespace nibble
