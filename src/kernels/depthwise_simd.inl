// A line of a depthwise convolution over a vector type V; included by one file per instruction set
// inside its own unnamed namespace. V gives: kBlock, kTaps, Bytes, Acc, Real and the functions used
// below.

// kPixels pixels side by side share the weights that are read.
template <int kPixels, bool kWhole>
void pixels(const DepthwiseArgs& args, const uint8_t* input, std::byte* output) {
  V::Acc acc[kPixels][4];
  NIBBLE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    NIBBLE_UNROLL
    for (int i = 0; i < 4; ++i) acc[p][i] = V::load_acc(args.bias + i * V::kBlock / 4);
  }
  const std::byte* weights = args.weights;
  const int64_t* taps = args.taps;
  for (int64_t g = 0; g < args.groups; ++g) {
    V::Acc w[4];
    NIBBLE_UNROLL
    for (int i = 0; i < 4; ++i) w[i] = V::load_weights(weights + i * V::kBlock);
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p)
      V::template add_taps<kWhole>(acc[p], w, input + p * args.pixel_step, taps, args.channels);
    weights += V::kBlock * 4;
    taps += V::kTaps;
  }
  NIBBLE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    std::byte* out = output + p * args.output_step;
    if (args.stage.codes) {
      V::template store_codes<kWhole>(acc[p], args.multiplier, args.stage, out, args.channels);
    } else {
      // Reals are rare here: each accumulator goes through memory into the order of the channels.
      float reals[V::kBlock];
      for (int i = 0; i < 4; ++i)
        V::store_reals(acc[p][i], args.multiplier + i * V::kBlock / 4, args.stage,
                       reals + i * V::kBlock / 4);
      for (int64_t c = 0; c < args.channels; ++c)
        __builtin_memcpy(out + 4 * c, reals + c % 16 / 4 * (V::kBlock / 4) + c / 16 * 4 + c % 4, 4);
    }
  }
}

template <bool kWhole>
void line_of(const DepthwiseArgs& args) {
  int64_t x = 0;
  for (; x + 2 <= args.pixels; x += 2)
    pixels<2, kWhole>(args, args.input + x * args.pixel_step, args.output + x * args.output_step);
  if (x < args.pixels)
    pixels<1, kWhole>(args, args.input + x * args.pixel_step, args.output + x * args.output_step);
}

void line(const DepthwiseArgs& args) {
  if (args.channels == V::kBlock) {
    line_of<true>(args);
  } else {
    line_of<false>(args);
  }
}
