// Tiles of data times packed weights over 16 partial sums; included by one file per instruction
// set, inside its own namespace. That file defines V: 16 floats and what is done with them.

// kRows rows of data times kOutputs outputs; all accumulators live in registers.
template <int kBits, int kRows, int kOutputs>
void tile_of(const PackedTile& t) {
  V::Lanes sums[kRows][kOutputs];
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int n = 0; n < kOutputs; ++n) sums[r][n] = V::zero();
  }
  const float* x = t.data;
  const uint8_t* w = t.weights;
  for (int64_t block = 0; block < t.blocks; ++block) {
    V::Scale scale[kOutputs];
    NIBBLE_UNROLL
    for (int n = 0; n < kOutputs; ++n) {
      scale[n] = V::scale(t.scale[n * t.blocks + block], t.zero[n * t.blocks + block]);
    }
    for (int64_t run = 0; run < t.runs; ++run) {
      NIBBLE_UNROLL
      for (int half = 0; half < (kBits == 4 ? 2 : 1); ++half) {
        V::Lanes data[kRows];
        NIBBLE_UNROLL
        for (int r = 0; r < kRows; ++r) data[r] = V::load(x + r * t.data_step);
        NIBBLE_UNROLL
        for (int n = 0; n < kOutputs; ++n) {
          const uint8_t* bytes = w + n * t.weight_step;
          const V::Lanes weight = kBits == 8 ? V::weights8(bytes, scale[n])
                                             : V::weights4(bytes, half, scale[n]);
          NIBBLE_UNROLL
          for (int r = 0; r < kRows; ++r) {
            sums[r][n] = V::add_product(sums[r][n], weight, data[r]);
          }
        }
        x += 16;
      }
      w += 16;
    }
  }
  NIBBLE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    NIBBLE_UNROLL
    for (int n = 0; n < kOutputs; ++n) {
      const float sum = V::sum(sums[r][n]) + t.bias[n];
      t.out[r * t.out_step + n] = sum < t.low ? t.low : (sum > t.high ? t.high : sum);
    }
  }
}

// A tile that is smaller than the largest is done output by output.
template <int kBits>
void tile(const PackedTile& t) {
  if (t.rows == kTileRows && t.outputs == kTileOutputs) {
    return tile_of<kBits, kTileRows, kTileOutputs>(t);
  }
  PackedTile part = t;
  if (t.rows == 1 && t.outputs == kTileOutputs) return tile_of<kBits, 1, kTileOutputs>(part);
  for (int r = 0; r < t.rows; ++r) {
    for (int n = 0; n < t.outputs; ++n) {
      part.data = t.data + r * t.data_step;
      part.weights = t.weights + n * t.weight_step;
      part.scale = t.scale + n * t.blocks;
      part.zero = t.zero + n * t.blocks;
      part.bias = t.bias + n;
      part.out = t.out + r * t.out_step + n;
      tile_of<kBits, 1, 1>(part);
    }
  }
}

constexpr PackedKernels kKernels{
    .rows = kTileRows, .outputs = kTileOutputs, .tile4 = tile<4>, .tile8 = tile<8>};
