// SHA-256, by which a report says which file and which samples its numbers are of.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "nibble/data.h"

#pragma GCC visibility push(default)
namespace nibble {

/// SHA-256 of bytes that come in pieces. Source: FIPS 180-4, section 6.2.
class Sha256 {
 public:
  Sha256& add(std::span<const std::byte> bytes);
  Sha256& add(std::string_view text);
  /// A number as 8 bytes, low ones first.
  Sha256& add(int64_t number);
  /// 64 hexadecimal digits, of all that was added. Nothing may be added afterwards.
  std::string hex();

 private:
  void take_block(const uint8_t* block);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> block_{};
  size_t held_ = 0;  // bytes of block_ that wait for the rest
  uint64_t bytes_ = 0;
};

/// What tells a data set from another, as a model gets it: the number of its samples, its fields,
/// all labels, and the tensors of `kDigestSamples` samples evenly spaced. Throws as
/// Dataset::sample().
constexpr int64_t kDigestSamples = 64;
std::string digest_of(const Dataset& data);
/// The same of what the model is shown alone: neither labels nor what fields are called count.
std::string digest_of_samples(const Dataset& data);

}  // namespace nibble
#pragma GCC visibility pop
