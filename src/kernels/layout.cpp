#include "kernels/layout.h"

#include <algorithm>

#include "kernels/isa_table.h"
#include "kernels/transpose_plane.h"

namespace nibble {
namespace {

// Tiles of kTile spatial positions: both sides of the transposition stay in the first-level cache.
constexpr int64_t kTile = 64;

// body(batch, first position, count) for every tile.
template <typename Body>
void over_tiles(const LayoutShape& shape, ThreadPool& pool, const Body& body) {
  const int64_t tiles = (shape.spatial + kTile - 1) / kTile;
  const int64_t tile_elements = std::max<int64_t>(1, shape.channels * kTile);
  const int64_t grain = std::max<int64_t>(1, 8192 / tile_elements);
  pool.parallel_ranges(shape.batch * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % tiles * kTile;
      body(i / tiles, first, std::min(kTile, shape.spatial - first));
    }
  });
}

template <typename T>
void last_from_first(const LayoutShape& shape, const T* in, T* out, ThreadPool& pool) {
  over_tiles(shape, pool, [&](int64_t n, int64_t first, int64_t count) {
    const T* from = in + n * shape.channels * shape.spatial + first;
    T* to = out + (n * shape.spatial + first) * shape.channels;
    transpose_plane(from, shape.spatial, to, shape.channels, count, shape.channels);
  });
}

template <typename T>
void first_from_last(const LayoutShape& shape, const T* in, T* out, ThreadPool& pool) {
  over_tiles(shape, pool, [&](int64_t n, int64_t first, int64_t count) {
    const T* from = in + (n * shape.spatial + first) * shape.channels;
    T* to = out + n * shape.channels * shape.spatial + first;
    transpose_plane(from, shape.channels, to, shape.spatial, shape.channels, count);
  });
}

}  // namespace

void to_channels_last(const LayoutShape& shape, const uint8_t* in, uint8_t* out, ThreadPool& pool) {
  last_from_first(shape, in, out, pool);
}
void to_channels_last(const LayoutShape& shape, const float* in, float* out, ThreadPool& pool) {
  last_from_first(shape, in, out, pool);
}
void to_channels_first(const LayoutShape& shape, const uint8_t* in, uint8_t* out,
                       ThreadPool& pool) {
  first_from_last(shape, in, out, pool);
}
void to_channels_first(const LayoutShape& shape, const float* in, float* out, ThreadPool& pool) {
  first_from_last(shape, in, out, pool);
}

void quantize_to_channels_last(const QuantizeParams& params, const LayoutShape& shape,
                               const float* in, uint8_t* out, ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_tiles(shape, pool, [&](int64_t n, int64_t first, int64_t count) {
    const float* from = in + n * shape.channels * shape.spatial + first;
    uint8_t* to = out + (n * shape.spatial + first) * shape.channels;
    if (shape.channels == 3) {  // images
      uint8_t planes[3][kTile];
      for (int64_t c = 0; c < 3; ++c)
        kernels.quantize(params, from + c * shape.spatial, planes[c], count);
      const uint8_t* const in_order[] = {planes[0], planes[1], planes[2]};
      return kernels.interleave3(in_order, to, count);
    }
    uint8_t codes[kTile];
    for (int64_t c = 0; c < shape.channels; ++c) {
      kernels.quantize(params, from + c * shape.spatial, codes, count);
      for (int64_t i = 0; i < count; ++i) to[i * shape.channels + c] = codes[i];
    }
  });
}

void dequantize_to_channels_first(float scale, int32_t zero_point, const LayoutShape& shape,
                                  const uint8_t* in, float* out, ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_tiles(shape, pool, [&](int64_t n, int64_t first, int64_t count) {
    const uint8_t* from = in + (n * shape.spatial + first) * shape.channels;
    float* to = out + n * shape.channels * shape.spatial + first;
    uint8_t codes[kTile];
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t i = 0; i < count; ++i) codes[i] = from[i * shape.channels + c];
      kernels.dequantize(scale, zero_point, codes, to + c * shape.spatial, count);
    }
  });
}

}  // namespace nibble
