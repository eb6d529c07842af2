// WAV files for tests, made on the spot.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace nibble::testing {

inline std::string little_endian(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(i < 8 ? value >> (8 * i) : 0);
  return text;
}

struct WavOptions {
  int coding = 1;  // 3: floats
  int bits = 16;
  int channels = 1;
  int rate = 16000;
  std::string before_data;  // other chunks
};

/// `data` as it lies in the file.
inline std::string wav_of(const std::string& data, const WavOptions& options = {}) {
  const auto frame = static_cast<uint64_t>(options.channels * options.bits / 8);
  const auto rate = static_cast<uint64_t>(options.rate);
  std::string body =
      "WAVEfmt " + little_endian(16, 4) + little_endian(static_cast<uint64_t>(options.coding), 2) +
      little_endian(static_cast<uint64_t>(options.channels), 2) + little_endian(rate, 4) +
      little_endian(rate * frame, 4) + little_endian(frame, 2) +
      little_endian(static_cast<uint64_t>(options.bits), 2) + options.before_data;
  body += "data" + little_endian(data.size(), 4) + data;
  return "RIFF" + little_endian(body.size(), 4) + body;
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string text(values.size() * sizeof(T), '\0');
  std::memcpy(text.data(), values.data(), text.size());
  return text;
}

/// One channel of 16 bits.
inline std::string wav_of_points(const std::vector<int16_t>& points, int rate = 16000) {
  return wav_of(bytes_of(points), {.rate = rate});
}

}  // namespace nibble::testing
