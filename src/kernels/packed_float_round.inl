// Rows of data become integers, in loops that compilers vectorize; included by one file per
// instruction set, inside its own namespace, after V and before packed_float_tile.inl, which says
// what V is.

template <int kBits>
constexpr int64_t steps_of(int32_t length) {
  constexpr uint32_t kStep = PackedTile::step(kBits);
  return (static_cast<uint32_t>(length) + kStep - 1) / kStep;
}

// The unit of a piece, and what data are multiplied by: powers of two. Magnitudes compare as their
// bits do, and those of NaN and infinity are the largest.
struct Unit {
  float unit, factor;
};
inline Unit unit_of(const float* data, int32_t length) {
  int32_t largest = 0;
  for (int32_t i = 0; i < length; ++i) {
    int32_t magnitude;
    __builtin_memcpy(&magnitude, data + i, sizeof(magnitude));
    magnitude &= 0x7fffffff;
    largest = magnitude > largest ? magnitude : largest;
  }
  if (largest >= 0x7f800000) return {__builtin_nanf(""), 0};
  // Mantissas above kMostInteger / 2^22, 1 + 0x7efefe / 2^23, take the next exponent.
  constexpr int32_t kCarry = 0x800000 - 0x7efeff;
  constexpr int32_t kLeast = 23;  // the least exponent of a unit is then that of the least normal
  int32_t exponent = (largest + kCarry) >> 23;
  exponent = exponent < kLeast ? kLeast : exponent;
  const int32_t unit_bits = (exponent - 22) << 23, factor_bits = (276 - exponent) << 23;
  Unit unit;
  __builtin_memcpy(&unit.unit, &unit_bits, sizeof(unit.unit));
  __builtin_memcpy(&unit.factor, &factor_bits, sizeof(unit.factor));
  return unit;
}

// `to` is padded with zeros to whole steps.
inline void integers_of(const float* data, int32_t length, int64_t padded, float factor,
                        int32_t* to) {
  if (factor == 0) length = 0;
  for (int32_t i = 0; i < length; ++i) {
    // Half to even: beside 2^23 there is no room for less than 1.
    const float scaled = data[i] * factor;
    const float large = __builtin_copysignf(8388608.0F, scaled);
    to[i] = static_cast<int32_t>((scaled + large) - large);
  }
  for (int64_t i = length; i < padded; ++i) to[i] = 0;
}

template <int kBits>
void round(std::span<const PackedPiece> pieces, const float* data, int32_t z,
           const PackedRow& row) {
  using F = V::Format<kBits>;
  alignas(64) int32_t integers[PackedTile::kPiece];
  std::byte* to = row.integers;
  for (size_t p = 0; p < pieces.size(); ++p) {
    const int32_t length = pieces[p].length;
    const int64_t steps = steps_of<kBits>(length), padded = steps * PackedTile::step(kBits);
    const Unit unit = unit_of(data, length);
    integers_of(data, length, padded, unit.factor, integers);
    int32_t sum = 0, high_sum = 0;
    for (int64_t i = 0; i < padded; ++i) {
      sum += integers[i];
      high_sum += (integers[i] + 128) >> 8;
    }
    const int32_t low_sum = sum - high_sum * 256;
    row.units[p] = unit.unit;
    row.offsets[2 * p] = -z * high_sum;
    row.offsets[2 * p + 1] = -z * low_sum;
    F::write(integers, padded, to);
    to += steps * 4 * F::kHalves * F::kDigits;
    data += length;
  }
}
