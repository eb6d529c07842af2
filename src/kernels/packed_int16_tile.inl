// Rows of 16-bit data times panels of packed weights, an output to a lane; included by one file per
// instruction set, inside its own namespace. That file defines V: 16 sums and what is done with
// them, and how many rows and panels fit its registers.

// kRows rows times kPanels panels; the integer sums live in registers.
template <int kBits, int kRows, int kPanels>
void tile_of(const Int16Tile& t) {
  constexpr int kPanel = PackedTile::kPanel;
  constexpr int kPairBytes = kBits == 8 ? 2 * kPanel : kPanel;
  typename V::Reals totals[kRows][kPanels];
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPanels; ++p) totals[r][p] = V::real_zero();
  }
  const uint8_t* w = t.weights;
  int64_t first = 0;  // of the block, in a row
  const int64_t blocks = t.shape->blocks();
  for (int64_t block = 0; block < blocks; ++block) {
    typename V::Sums sums[kRows][kPanels];
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NIBBLE_UNROLL
      for (int p = 0; p < kPanels; ++p) sums[r][p] = V::zero();
    }
    const int64_t pairs = (t.shape->length_of(block) + 1) / 2;
    for (int64_t i = 0; i < pairs; ++i, w += kPairBytes) {
      typename V::Weights weights[kPanels];
      NIBBLE_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        const uint8_t* from = w + p * t.weight_step;
        if constexpr (kBits == 8) {
          weights[p] = V::weights8(from);
        } else {
          weights[p] = V::weights4(from);
        }
      }
      NIBBLE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        int32_t pair;
        __builtin_memcpy(&pair, t.data[r].integers + first + 2 * i, sizeof(pair));
        NIBBLE_UNROLL
        for (int p = 0; p < kPanels; ++p) sums[r][p] = V::add(sums[r][p], weights[p], pair);
      }
    }
    first += 2 * pairs;
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      NIBBLE_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        const int64_t group = (p * blocks + block) * kPanel;
        totals[r][p] = V::add_block(totals[r][p], sums[r][p], t.data[r].sums[block],
                                    t.zero + group, t.scale + group);
      }
    }
  }
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      V::store(totals[r][p], t.data[r].scale, t.bias + p * kPanel, t.out + r * t.out_step + p * kPanel,
               t.outputs - p * kPanel);
    }
  }
}

// All panels for kRows rows: as many at a time as fit, then one by one.
template <int kBits, int kRows, int kPanels>
void panels_of(const Int16Tile& t) {
  constexpr int kPanel = PackedTile::kPanel;
  Int16Tile part = t;
  int64_t panel = 0;
  const auto advance = [&](int64_t count) {
    panel += count;
    part.weights = t.weights + panel * t.weight_step;
    part.scale = t.scale + panel * t.shape->blocks() * kPanel;
    part.zero = t.zero + panel * t.shape->blocks() * kPanel;
    part.bias = t.bias + panel * kPanel;
    part.out = t.out + panel * kPanel;
    part.outputs = t.outputs - panel * kPanel;
  };
  const int64_t count = (t.outputs + kPanel - 1) / kPanel;
  for (; panel + kPanels <= count; advance(kPanels)) tile_of<kBits, kRows, kPanels>(part);
  for (; panel < count; advance(1)) tile_of<kBits, kRows, 1>(part);
}

template <int kBits>
void tile(const Int16Tile& t) {
  Int16Tile part = t;
  int64_t row = 0;
  const auto advance = [&](int64_t rows) {
    row += rows;
    part.data = t.data + row;
    part.out = t.out + row * t.out_step;
  };
  for (; row + kTileRows <= t.rows; advance(kTileRows)) {
    panels_of<kBits, kTileRows, kTilePanels>(part);
  }
  for (; row < t.rows; advance(1)) panels_of<kBits, 1, kRowPanels>(part);
}

// Magnitudes compare as their bits do, and those of NaN and infinity are the largest.
void round(const PackedShape& shape, const float* data, float limit, Int16Row& row) {
  const int64_t depth = shape.depth();
  int32_t bits = 0;
  for (int64_t k = 0; k < depth; ++k) {
    int32_t magnitude;
    __builtin_memcpy(&magnitude, data + k, sizeof(magnitude));
    magnitude &= 0x7fffffff;
    bits = magnitude > bits ? magnitude : bits;
  }
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof(largest));
  const bool is_finite = bits < 0x7f800000;
  // Smaller than this, numbers could not be scaled; next to anything else they are nothing.
  const bool is_zero = largest < 1e-30F;
  row.scale = is_finite ? (is_zero ? 0 : largest / limit) : __builtin_nanf("");
  const float factor = is_finite && !is_zero ? limit / largest : 0;
  int16_t* to = row.integers;
  for (int64_t block = 0; block < shape.blocks(); ++block) {
    const int64_t length = shape.length_of(block);
    int32_t sum = 0;
    if (is_finite) {
      for (int64_t i = 0; i < length; ++i) {
        const float rounded = (data[i] * factor + 12582912.0F) - 12582912.0F;
        to[i] = static_cast<int16_t>(static_cast<int32_t>(rounded));
      }
      for (int64_t i = 0; i < length; ++i) {
        sum = static_cast<int32_t>(static_cast<uint32_t>(sum) + static_cast<uint32_t>(to[i]));
      }
    } else {
      for (int64_t i = 0; i < length; ++i) to[i] = 0;
    }
    if (length % 2 != 0) to[length] = 0;
    row.sums[block] = sum;
    data += length;
    to += (length + 1) / 2 * 2;
  }
}

constexpr Int16Kernels kKernels{.tile4 = tile<4>, .tile8 = tile<8>, .round = round};
