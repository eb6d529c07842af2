// Products with packed weights in plain loops: the definition that the fast ones equal bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/packed_float.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;

// Integers are kept as they are.
template <int kBits>
void round(std::span<const PackedPiece> pieces, const float* data, int32_t, const PackedRow& row) {
  auto* to = reinterpret_cast<int32_t*>(row.integers);
  for (size_t p = 0; p < pieces.size(); ++p) {
    const int32_t length = pieces[p].length;
    double largest = 0;
    bool is_finite = true;
    for (int32_t i = 0; i < length; ++i) {
      is_finite = is_finite && std::isfinite(data[i]);
      largest = std::max(largest, std::abs(static_cast<double>(data[i])));
    }
    double unit = std::numeric_limits<float>::min();
    while (is_finite && std::nearbyint(largest / unit) > PackedTile::kMostInteger) unit *= 2;
    row.units[p] = is_finite ? static_cast<float>(unit) : std::nanf("");
    for (int32_t i = 0; i < length; ++i) {
      to[i] = is_finite ? static_cast<int32_t>(std::nearbyint(data[i] / unit)) : 0;
    }
    data += length;
    to += length;
  }
}

// The code of number i of a piece, for the output that stands at `lane` of its panel.
template <int kBits>
int32_t code_at(const uint8_t* piece, int64_t i, int64_t lane) {
  constexpr int64_t kStep = PackedTile::step(kBits);
  const uint8_t byte = piece[i / kStep * PackedTile::kStepBytes + lane * 4 + i % 4];
  if constexpr (kBits == 8) return byte;
  return i % kStep < 4 ? byte & 15 : byte >> 4;
}

template <int kBits>
float dot(const PackedTile& t, const PackedRow& row, int64_t n) {
  constexpr int64_t kStep = PackedTile::step(kBits);
  const int64_t lane = n % kPanel;
  const uint8_t* w = t.weights + n / kPanel * t.weight_step;
  const auto* x = reinterpret_cast<const int32_t*>(row.integers);
  float total = 0, sum = 0;
  int64_t group = n / kPanel * t.blocks * kPanel + lane;
  for (size_t p = 0; p < t.pieces.size(); ++p) {
    const int32_t zero = t.zero != nullptr ? t.zero[group] : t.zero_point;
    const int32_t length = t.pieces[p].length;
    int64_t exact = 0;
    for (int32_t i = 0; i < length; ++i) {
      exact += int64_t{code_at<kBits>(w, i, lane) - zero} * x[i];
    }
    sum += static_cast<float>(exact) * row.units[p];
    x += length;
    w += (length + kStep - 1) / kStep * PackedTile::kStepBytes;
    if (!t.pieces[p].ends_block) continue;
    total += sum * reinterpret_cast<const float*>(w)[lane];
    sum = 0;
    w += kPanel * sizeof(float);
    group += kPanel;
  }
  return total;
}

template <int kBits>
void tile(const PackedTile& t) {
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t n = 0; n < t.outputs; ++n) {
      const float sum = dot<kBits>(t, t.data[row], n) + t.bias[n];
      t.out[row * t.out_step + n] = sum < t.low ? t.low : (sum > t.high ? t.high : sum);
    }
  }
}

constexpr PackedKernels kKernels{.four = {tile<4>, round<4>}, .eight = {tile<8>, round<8>}};

}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::reference>() {
  return kKernels;
}

}  // namespace nibble
