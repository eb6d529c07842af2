// Rows of data times panels of packed weights, an output to a lane; included by one file per
// instruction set, inside its own namespace. That file defines V: 16 floats and what is done with
// them, and how many rows and panels fit its registers.

template <int kPanels>
struct Weights {
  V::Lanes lanes[kPanels];
};

// kRows rows times kPanels panels; all accumulators live in registers.
template <int kBits, int kRows, int kPanels>
void tile_of(const PackedTile& t) {
  constexpr int kPanel = PackedTile::kPanel;
  V::Lanes sums[kRows][kPanels];
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPanels; ++p) sums[r][p] = V::zero();
  }
  const float* x = t.data;
  const uint8_t* w = t.weights;
  const auto multiply = [&](const Weights<kPanels>& weights, int64_t i) {
    NIBBLE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const V::Lanes data = V::splat(x[r * t.data_step + i]);
      NIBBLE_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        sums[r][p] = V::add_product(sums[r][p], weights.lanes[p], data);
      }
    }
  };
  const int64_t blocks = t.shape->blocks();
  for (int64_t block = 0; block < blocks; ++block) {
    V::Scale scale[kPanels];
    NIBBLE_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      const int64_t group = (p * blocks + block) * kPanel;
      scale[p] = V::scale(t.scale + group, t.zero + group);
    }
    const int64_t length = t.shape->length_of(block);
    Weights<kPanels> weights;
    if constexpr (kBits == 8) {
      for (int64_t i = 0; i < length; ++i, w += kPanel) {
        NIBBLE_UNROLL
        for (int p = 0; p < kPanels; ++p) {
          weights.lanes[p] = V::weights8(w + p * t.weight_step, scale[p]);
        }
        multiply(weights, i);
      }
    } else {
      for (int64_t i = 0; i < length; i += 2, w += kPanel) {
        NIBBLE_UNROLL
        for (int half = 0; half < 2; ++half) {
          if (i + half == length) continue;
          NIBBLE_UNROLL
          for (int p = 0; p < kPanels; ++p) {
            weights.lanes[p] = V::weights4(w + p * t.weight_step, half, scale[p]);
          }
          multiply(weights, i + half);
        }
      }
    }
    x += length;
  }
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPanels; ++p) {
      V::store(V::add(sums[r][p], V::load(t.bias + p * kPanel)), t.low, t.high,
               t.out + r * t.out_step + p * kPanel, t.outputs - p * kPanel);
    }
  }
}

template <int kBits, int kPanels>
void rows_of(const PackedTile& t) {
  PackedTile part = t;
  int64_t row = 0;
  const auto advance = [&](int64_t rows) {
    row += rows;
    part.data = t.data + row * t.data_step;
    part.out = t.out + row * t.out_step;
  };
  for (; row + kTileRows <= t.rows; advance(kTileRows)) tile_of<kBits, kTileRows, kPanels>(part);
  for (; row + 2 <= t.rows; advance(2)) tile_of<kBits, 2, kPanels>(part);
  if (row < t.rows) tile_of<kBits, 1, kPanels>(part);
}

template <int kBits>
void tile(const PackedTile& t) {
  if (t.outputs > (kTilePanels - 1) * PackedTile::kPanel) return rows_of<kBits, kTilePanels>(t);
  rows_of<kBits, 1>(t);
}

constexpr PackedKernels kKernels{.panels = kTilePanels, .tile4 = tile<4>, .tile8 = tile<8>};
