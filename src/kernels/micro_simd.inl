// The tile kernel over a vector type V; included by one file per instruction set inside its own
// unnamed namespace. V gives: kLanes, kQuadBytes, Acc, Weights, Quad and the functions used below.

// All loops over pixels and blocks are unrolled so that the accumulators live in registers.
#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

template <int kPixels, int kBlocks>
void tile(const TileArgs& args) {
  V::Acc acc[kPixels][kBlocks];
  NIBBLE_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    const V::Acc bias = V::load_bias(args.bias + b * V::kLanes);
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) acc[p][b] = bias;
  }
  const int64_t step = args.pixel_step;
  const int64_t block_step = args.block_step;
  const std::byte* weights = args.weights;
  for (int64_t s = 0; s < args.segment_count; ++s) {
    const uint8_t* input = args.input + args.segments[s];
    for (int64_t q = args.quads; q > 0; --q) {
      V::Weights w[kBlocks];
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) w[b] = V::load_weights(weights + b * block_step);
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        const V::Quad quad = V::load_quad(input + p * step);
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b) acc[p][b] = V::dot(acc[p][b], quad, w[b]);
      }
      input += 4;
      weights += V::kQuadBytes;
    }
  }
  NIBBLE_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    const int64_t left = args.channels - b * V::kLanes;
    if (left <= 0) break;
    const V::Real multiplier = V::load_real(args.multiplier + b * V::kLanes);
    std::byte* out = args.output + b * V::kLanes * (args.stage.codes ? 1 : 4);
    if (args.stage.codes) {
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p)
        V::store_codes(acc[p][b], multiplier, args.stage, out + p * args.output_step, left);
    } else {
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p)
        V::store_reals(acc[p][b], multiplier, args.stage, out + p * args.output_step, left);
    }
  }
}

template <int kBlocks, int... kPixels>
MicroKernels::Tile pick(int pixels, std::integer_sequence<int, kPixels...>) {
  static constexpr MicroKernels::Tile kTiles[] = {tile<kPixels + 1, kBlocks>...};
  return kTiles[pixels - 1];
}
