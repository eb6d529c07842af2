#include "data/digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace nibble {
namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRounds = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24U | uint32_t{bytes[1]} << 16U | uint32_t{bytes[2]} << 8U |
         bytes[3];
}

}  // namespace

void Sha256::take_block(const uint8_t* block) {
  std::array<uint32_t, 64> w{};
  for (size_t t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (size_t t = 16; t < 64; ++t) {
    const uint32_t low = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3U);
    const uint32_t high = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10U);
    w[t] = high + w[t - 7] + low + w[t - 16];
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (size_t t = 0; t < 64; ++t) {
    const uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                           ((e & f) ^ (~e & g)) + kRounds[t] + w[t];
    const uint32_t second =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const std::array<uint32_t, 8> added = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state_[i] += added[i];
}

Sha256& Sha256::add(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  size_t left = bytes.size();
  bytes_ += left;
  while (left > 0) {
    if (held_ == 0 && left >= block_.size()) {
      take_block(data);
      data += block_.size();
      left -= block_.size();
      continue;
    }
    const size_t taken = std::min(left, block_.size() - held_);
    std::memcpy(block_.data() + held_, data, taken);
    held_ += taken;
    data += taken;
    left -= taken;
    if (held_ == block_.size()) {
      take_block(block_.data());
      held_ = 0;
    }
  }
  return *this;
}

Sha256& Sha256::add(std::string_view text) {
  return add(std::as_bytes(std::span(text.data(), text.size())));
}

Sha256& Sha256::add(int64_t number) {
  std::array<std::byte, 8> bytes{};
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::byte>(static_cast<uint64_t>(number) >> (8 * i) & 0xffU);
  }
  return add(bytes);
}

std::string Sha256::hex() {
  const uint64_t bits = bytes_ * 8;
  add("\x80");
  while (held_ != 56) add(std::string_view("\0", 1));
  std::array<std::byte, 8> length{};
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(bits >> (56 - 8 * i) & 0xffU);
  add(length);
  std::string text;
  for (const uint32_t word : state_) text += fmt::format("{:08x}", word);
  return text;
}

namespace {

void add_samples(Sha256& digest, const Dataset& data) {
  const int64_t count = std::min(kDigestSamples, data.size());
  for (int64_t i = 0; i < count; ++i) {
    for (const Tensor& tensor : data.sample(i * data.size() / count)) {
      digest.add(tensor.shape().to_string());
      digest.add({static_cast<const std::byte*>(tensor.raw()), tensor.bytes()});
    }
  }
}

}  // namespace

std::string digest_of_samples(const Dataset& data) {
  Sha256 digest;
  digest.add(data.size());
  for (const Field& field : data.fields()) digest.add(name_of(field.dtype));
  add_samples(digest, data);
  return digest.hex();
}

std::string digest_of(const Dataset& data) {
  Sha256 digest;
  digest.add(data.size());
  for (const Field& field : data.fields()) {
    digest.add(field.name).add(name_of(field.dtype)).add(field.shape.to_string());
  }
  digest.add(int64_t{data.classes()});
  if (data.classes() > 0) {
    for (int64_t i = 0; i < data.size(); ++i) digest.add(data.label(i));
  }
  add_samples(digest, data);
  return digest.hex();
}

}  // namespace nibble
