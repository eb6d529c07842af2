// Fake quantization in loops as compilers vectorize them; included by one file per instruction set,
// inside its own namespace, so that no code compiled for a wider instruction set is shared.

constexpr float kRounder = 0x1.8p23F;  // leaves no bits below the point
constexpr int64_t kLanes = 16, kPart = 1024;

inline bool stays(uint32_t seed, uint32_t index, uint32_t unrounded) {
  uint32_t hash = (index + seed) * 0x9e3779b9U;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
  return (hash ^ (hash >> 16)) < unrounded;
}

inline float clamped(float v, float low, float high) {
  const float above = v > low ? v : low;  // low for NaN
  return above < high ? above : high;
}

void forward(const FakeGrid& grid, const float* in, uint32_t first, float* out, int64_t n) {
  const float scale = grid.scale, low = grid.low, high = grid.high;
  if (grid.unrounded == 0) {
    for (int64_t i = 0; i < n; ++i) {
      out[i] = ((clamped(in[i] / scale, low, high) + kRounder) - kRounder) * scale;
    }
    return;
  }
  const uint32_t seed = grid.seed, unrounded = grid.unrounded;
  for (int64_t i = 0; i < n; ++i) {
    const float rounded = ((clamped(in[i] / scale, low, high) + kRounder) - kRounder) * scale;
    out[i] = stays(seed, first + static_cast<uint32_t>(i), unrounded) ? in[i] : rounded;
  }
}

template <bool kMixed>
double backward_of(const FakeGrid& grid, const float* in, uint32_t first, const float* upstream,
                   float* gradient, int64_t n) {
  const float scale = grid.scale, low = grid.low, high = grid.high;
  const uint32_t seed = grid.seed, unrounded = grid.unrounded;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kPart) {
    const int64_t end = begin + kPart < n ? begin + kPart : n;
    float sums[kLanes] = {};
    const auto one = [&](int64_t i, int64_t lane) {
      const float v = in[i] / scale;
      const float within = clamped(v, low, high);
      const bool inside = v > low && v < high;
      const float slope = inside ? ((within + kRounder) - kRounder) - v : within;
      const bool real = kMixed && stays(seed, first + static_cast<uint32_t>(i), unrounded);
      gradient[i] = inside || real ? upstream[i] : 0.0F;
      sums[lane] += real ? 0.0F : upstream[i] * slope;
    };
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) one(i + lane, lane);
    }
    for (int64_t lane = 0; i < end; ++i, ++lane) one(i, lane);
    for (const float sum : sums) total += static_cast<double>(sum);
  }
  return total;
}

double backward(const FakeGrid& grid, const float* in, uint32_t first, const float* upstream,
                float* gradient, int64_t n) {
  return grid.unrounded == 0 ? backward_of<false>(grid, in, first, upstream, gradient, n)
                             : backward_of<true>(grid, in, first, upstream, gradient, n);
}

void mix(const FakeGrid& grid, const float* real, const float* rounded, uint32_t first, float* out,
         int64_t n) {
  const uint32_t seed = grid.seed, unrounded = grid.unrounded;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = stays(seed, first + static_cast<uint32_t>(i), unrounded) ? real[i] : rounded[i];
  }
}

constexpr FakeQuantizeKernels kKernels = {.forward = forward, .backward = backward, .mix = mix};
