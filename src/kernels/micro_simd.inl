// The tile kernel over a vector type V; included by one file per instruction set inside its own
// unnamed namespace, with NIBBLE_UNROLL defined. V gives: kLanes, kQuadBytes, Acc, Weights, Quad,
// Real and the functions used below.

template <int kPixels, int kBlocks>
void tile(const TileArgs& args) {
  V::Acc acc[kPixels][kBlocks];
  NIBBLE_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    const V::Acc bias = V::load_bias(args.bias + b * V::kLanes);
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) acc[p][b] = bias;
  }
  if (args.pixel_bias != nullptr) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) acc[p][b] = V::add(acc[p][b], args.pixel_bias[p]);
    }
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
  V::Real multipliers[kBlocks];
  NIBBLE_UNROLL
  for (int b = 0; b < kBlocks; ++b) multipliers[b] = V::load_real(args.multiplier + b * V::kLanes);
  if (args.stage.codes) {
    V::template store_codes<kPixels, kBlocks>(acc, multipliers, args);
    return;
  }
  NIBBLE_UNROLL
  for (int b = 0; b < kBlocks; ++b) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p)
      V::store_reals(acc[p][b], multipliers[b], args.stage,
                     args.output + p * args.output_step + b * V::kLanes * 4,
                     args.channels - b * V::kLanes);
  }
}

template <int kBlocks, int... kPixels>
MicroKernels::Tile pick(int pixels, std::integer_sequence<int, kPixels...>) {
  static constexpr MicroKernels::Tile kTiles[] = {tile<kPixels + 1, kBlocks>...};
  return kTiles[pixels - 1];
}
