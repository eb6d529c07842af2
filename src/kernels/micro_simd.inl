// The tile kernel over a vector type V and the way in which products are added up; included by one
// file per instruction set inside its own unnamed namespace, with NIBBLE_UNROLL defined. V gives:
// kLanes, Acc, Real and the functions used below. `Products` gives a format of weights, and
// add_segment(acc, input, weights, args), which adds one run of bytes to the accumulators.

template <typename Products, int kPixels, int kBlocks>
void tile(const TileArgs& args) {
  V::Acc acc[kPixels][kBlocks];
  Products::template start<kPixels, kBlocks>(acc, args);
  const std::byte* weights = args.weights;
  const int64_t segment_bytes = format_bytes(Products::kFormat, V::kLanes, args.quads);
  for (int64_t s = 0; s < args.segment_count; ++s) {
    Products::template add_segment<kPixels, kBlocks>(acc, args.input + args.segments[s], weights,
                                                     args);
    weights += segment_bytes;
  }
  Products::template finish<kPixels, kBlocks>(acc, args);
  if (args.pixel_bias != nullptr) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) acc[p][b] = V::add(acc[p][b], args.pixel_bias[p]);
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

template <typename Products, int kBlocks, int... kPixels>
MicroForm::Tile pick(int pixels, std::integer_sequence<int, kPixels...>) {
  static constexpr MicroForm::Tile kTiles[] = {tile<Products, kPixels + 1, kBlocks>...};
  return kTiles[pixels - 1];
}

// Accumulators that begin with the bias, and end as they are.
struct FromBias {
  template <int kPixels, int kBlocks>
  static void start(V::Acc (&acc)[kPixels][kBlocks], const TileArgs& args) {
    NIBBLE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const V::Acc bias = V::load_bias(args.bias + b * V::kLanes);
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p) acc[p][b] = bias;
    }
  }
  template <int kPixels, int kBlocks>
  static void finish(V::Acc (&)[kPixels][kBlocks], const TileArgs&) {}
};

// Products quad by quad, added in 32 bits. How gives: kFormat, kQuadBytes, Quad, Weights,
// load_quad, load_weights, dot.
template <typename How>
struct ByQuads : FromBias {
  static constexpr WeightFormat kFormat = How::kFormat;

  template <int kPixels, int kBlocks>
  static void add_segment(V::Acc (&acc)[kPixels][kBlocks], const uint8_t* input,
                          const std::byte* weights, const TileArgs& args) {
    const int64_t step = args.pixel_step;
    const int64_t block_step = args.block_step;
    for (int64_t q = args.quads; q > 0; --q) {
      typename How::Weights w[kBlocks];
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) w[b] = How::load_weights(weights + b * block_step);
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        const typename How::Quad quad = How::load_quad(input + p * step);
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b) acc[p][b] = How::dot(acc[p][b], quad, w[b]);
      }
      input += 4;
      weights += How::kQuadBytes;
    }
  }
};
