// Rows of integers times panels of packed weights, an output to a lane; included by one file per
// instruction set, inside its own namespace. That file defines V: vectors of integers and reals and
// what is done with them, how many rows and panels fit its registers, and Format<bits>:
//
// - kDigits: an integer of data is kept as so many digits, each in a plane of its own: two (high
//   of 16 bits, low) or three (8 bits each);
// - kHalves: a step of weights is unpacked to so many vectors, each of which meets 32 bits of every
//   plane;
// - kSteps: after so many steps, sums have to be widened.

constexpr int kPanelVectors = PackedTile::kPanel / V::kLanes;
constexpr int kVectorBytes = PackedTile::kStepBytes / kPanelVectors;

inline int32_t word_at(const std::byte* from) {
  int32_t word;
  __builtin_memcpy(&word, from, sizeof(word));
  return word;
}

// Where vector v of neighbouring panels begins.
inline int64_t offset_of(int v, int64_t panel_step) {
  return v / kPanelVectors * panel_step + v % kPanelVectors * int64_t{kVectorBytes};
}

// kRows rows times kVectors vectors of outputs.
template <int kBits, int kRows, int kVectors>
struct Tile {
  using F = V::Format<kBits>;
  using Ints = V::Ints;
  using Reals = V::Reals;
  // Few sums wait for one another's additions: the second halves have sums of their own.
  static constexpr bool kSplit =
      kRows == 1 && kVectors * F::kDigits <= 3 && F::kHalves == 2 && F::kSteps == 0;

  // Adds products to sums of a piece, whose integers begin at `at` of each row.
  static inline __attribute__((always_inline)) void add_steps(
      Ints (&sums)[kRows][kVectors][F::kDigits], const uint8_t* w, int64_t weight_step,
      const std::byte* const (&x)[kRows], int64_t at, int64_t plane, int64_t steps) {
    Ints second[kVectors][F::kDigits];
    NIBBLE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      NIBBLE_UNROLL
      for (int d = 0; d < F::kDigits; ++d) second[v][d] = V::zero();
    }
    for (int64_t s = 0; s < steps; ++s, w += PackedTile::kStepBytes) {
      if constexpr (kRows == 1) {
        NIBBLE_UNROLL
        for (int v = 0; v < kVectors; v += kPanelVectors) {
          __builtin_prefetch(w + offset_of(v, weight_step) + kPrefetchBytes);
        }
      }
      typename V::Raw raw[kVectors];
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) raw[v] = V::load(w + offset_of(v, weight_step));
      NIBBLE_UNROLL
      for (int half = 0; half < F::kHalves; ++half) {
        typename V::Weights weights[kVectors];
        NIBBLE_UNROLL
        for (int v = 0; v < kVectors; ++v) weights[v] = F::unpack(raw[v], half);
        NIBBLE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          NIBBLE_UNROLL
          for (int d = 0; d < F::kDigits; ++d) {
            const int32_t word = word_at(x[r] + at + d * plane + 4 * half);
            NIBBLE_UNROLL
            for (int v = 0; v < kVectors; ++v) {
              F::add(kSplit && half == 1 ? second[v][d] : sums[r][v][d], weights[v], word);
            }
          }
        }
      }
      at += 4 * F::kHalves;
    }
    if constexpr (kSplit) {
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        NIBBLE_UNROLL
        for (int d = 0; d < F::kDigits; ++d) sums[0][v][d] = V::add(sums[0][v][d], second[v][d]);
      }
    }
  }

  // The sums of a piece begin with what all weights' zero point takes off, if there is one.
  static inline __attribute__((always_inline)) void begin(
      Ints (&sums)[kRows][kVectors][F::kDigits], const PackedTile& t, size_t piece) {
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int32_t* offsets = t.data[r].offsets + 2 * piece;
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        NIBBLE_UNROLL
        for (int d = 0; d < F::kDigits; ++d) {
          const int which = d - (F::kDigits - 2);
          sums[r][v][d] = which < 0 || t.zero != nullptr ? V::zero() : V::splat(offsets[which]);
        }
      }
    }
  }

  static inline __attribute__((always_inline)) void add_narrow(
      Ints (&sums)[kRows][kVectors][F::kDigits], const uint8_t* w, int64_t weight_step,
      const std::byte* const (&x)[kRows], int64_t at, int64_t plane, int64_t steps) {
    Ints narrow[kRows][kVectors][F::kDigits];
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        NIBBLE_UNROLL
        for (int d = 0; d < F::kDigits; ++d) narrow[r][v][d] = V::zero();
      }
    }
    add_steps(narrow, w, weight_step, x, at, plane, steps);
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        NIBBLE_UNROLL
        for (int d = 0; d < F::kDigits; ++d) V::widen(sums[r][v][d], narrow[r][v][d]);
      }
    }
  }

  static void run(const PackedTile& t) {
    Reals totals[kRows][kVectors], blocks[kRows][kVectors];
    const std::byte* x[kRows];
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      x[r] = t.data[r].integers;
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) totals[r][v] = blocks[r][v] = V::real_zero();
    }
    const uint8_t* w = t.weights;
    const uint8_t* zero = t.zero;
    int64_t at = 0;
    bool begins_block = true;
    for (size_t p = 0; p < t.pieces.size(); ++p) {
      const int64_t steps = steps_of<kBits>(t.pieces[p].length);
      const int64_t plane = steps * 4 * F::kHalves;
      Ints sums[kRows][kVectors][F::kDigits];
      begin(sums, t, p);
      if constexpr (F::kSteps == 0) {
        add_steps(sums, w, t.weight_step, x, at, plane, steps);
      } else {
        for (int64_t s = 0; s < steps; s += F::kSteps) {
          add_narrow(sums, w + s * PackedTile::kStepBytes, t.weight_step, x,
                     at + s * 4 * F::kHalves, plane, steps - s < F::kSteps ? steps - s : F::kSteps);
        }
      }
      w += steps * PackedTile::kStepBytes;
      at += plane * F::kDigits;
      const bool ends_block = t.pieces[p].ends_block;
      // Whether f32 holds the sum of the high digits.
      const bool is_small = kBits == 4 && t.pieces[p].length <= 32;
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        Reals scale = V::real_zero();
        if (ends_block) {
          scale = V::load_reals(reinterpret_cast<const float*>(w + offset_of(v, t.weight_step)));
        }
        NIBBLE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          Ints high = F::high(sums[r][v]), low = F::low(sums[r][v]);
          if (zero != nullptr) {
            const int32_t* offsets = t.data[r].offsets + 2 * p;
            const Ints z =
                V::load_zeros(zero + v / kPanelVectors * t.blocks * PackedTile::kPanel +
                              v % kPanelVectors * V::kLanes);
            high = V::add(high, V::multiply(z, offsets[0]));
            low = V::add(low, V::multiply(z, offsets[1]));
          }
          const float factor = is_small ? 256 : 65536;
          if (!is_small) V::carry(high, low);
          Reals sum = V::multiply(V::join(high, low, factor), V::splat(t.data[r].units[p]));
          if (!begins_block) sum = V::add(blocks[r][v], sum);
          if (ends_block) {
            totals[r][v] = V::add(totals[r][v], V::multiply(sum, scale));
          } else {
            blocks[r][v] = sum;
          }
        }
      }
      begins_block = ends_block;
      if (!ends_block) continue;
      w += PackedTile::kStepBytes;
      if (zero != nullptr) zero += PackedTile::kPanel;
    }
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NIBBLE_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const int64_t first = int64_t{v} * V::kLanes;
        V::store(V::add(totals[r][v], V::load_reals(t.bias + first)), t.low, t.high,
                 t.out + r * t.out_step + first, t.outputs - first);
      }
    }
  }
};

// All rows for some panels: as many at a time as fit, then the rest.
template <int kBits, int kPanels>
void rows_of(const PackedTile& t) {
  constexpr int kVectors = kPanels * kPanelVectors;
  PackedTile part = t;
  int64_t row = 0;
  for (; row + kTileRows <= t.rows; row += kTileRows) {
    part.data = t.data + row;
    part.out = t.out + row * t.out_step;
    Tile<kBits, kTileRows, kVectors>::run(part);
  }
  part.data = t.data + row;
  part.out = t.out + row * t.out_step;
  [&]<int... kRows>(std::integer_sequence<int, kRows...>) {
    ((t.rows - row == kRows + 1 ? Tile<kBits, kRows + 1, kVectors>::run(part) : void()), ...);
  }
  (std::make_integer_sequence<int, kTileRows - 1>());
}

template <int kBits>
void tile(const PackedTile& t) {
  constexpr int kPanel = PackedTile::kPanel;
  PackedTile part = t;
  int64_t panel = 0;
  const auto advance = [&](int64_t count) {
    panel += count;
    part.weights = t.weights + panel * t.weight_step;
    if (t.zero != nullptr) part.zero = t.zero + panel * t.blocks * kPanel;
    part.bias = t.bias + panel * kPanel;
    part.out = t.out + panel * kPanel;
    part.outputs = t.outputs - panel * kPanel;
  };
  const int64_t count = (t.outputs + kPanel - 1) / kPanel;
  if (t.rows == 1) {
    for (; panel + kRowPanels <= count; advance(kRowPanels)) {
      Tile<kBits, 1, kRowPanels * kPanelVectors>::run(part);
    }
  } else {
    for (; panel + kTilePanels <= count; advance(kTilePanels)) rows_of<kBits, kTilePanels>(part);
  }
  for (; panel < count; advance(1)) rows_of<kBits, 1>(part);
}

constexpr PackedKernels kKernels{.four = {tile<4>, round<4>}, .eight = {tile<8>, round<8>}};
