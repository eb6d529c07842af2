#include "kernels/pool.h"

#include <algorithm>
#include <cstring>

#include "kernels/isa_table.h"

namespace nibble {
namespace {

// The taps of one axis that fall on [0, extent): kernel positions [first, last).
struct TapRange {
  int64_t origin;  // input position of tap 0
  int64_t first = 0;
  int64_t last;

  TapRange(int64_t out, int64_t stride, int64_t pad, int64_t dilation, int64_t kernel,
           int64_t extent)
      : origin(out * stride - pad), last(kernel) {
    // Nearly all are whole; divisions are slow.
    if (origin >= 0 && origin + (kernel - 1) * dilation < extent) return;
    if (origin < 0) first = (dilation - 1 - origin) / dilation;
    last = origin >= extent ? 0 : std::min(kernel, (extent - 1 - origin) / dilation + 1);
    last = std::max(last, first);
  }
  int64_t count() const { return last - first; }
};

// body(n, y, x, rows, columns) for every output pixel.
template <typename Body>
void over_pixels(const ConvWindow& w, int64_t channels, ThreadPool& pool, const Body& body) {
  const int64_t row_cost = std::max<int64_t>(1, w.out_w * channels * w.taps());
  const int64_t grain = std::max<int64_t>(1, 32768 / row_cost);
  pool.parallel_ranges(w.batch * w.out_h, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t y = row % w.out_h;
      const TapRange rows(y, w.stride_h, w.pad_top, w.dilation_h, w.kernel_h, w.in_h);
      for (int64_t x = 0; x < w.out_w; ++x) {
        const TapRange columns(x, w.stride_w, w.pad_left, w.dilation_w, w.kernel_w, w.in_w);
        body(row / w.out_h, y, x, rows, columns);
      }
    }
  });
}

// body(pointer to the channels) for every tap of a pixel that lies inside the input.
template <typename Body>
void over_taps(const ConvWindow& w, int64_t channels, const uint8_t* in, int64_t n,
               const TapRange& rows, const TapRange& columns, const Body& body) {
  for (int64_t ky = rows.first; ky < rows.last; ++ky) {
    const int64_t y = rows.origin + ky * w.dilation_h;
    for (int64_t kx = columns.first; kx < columns.last; ++kx) {
      const int64_t x = columns.origin + kx * w.dilation_w;
      body(in + ((n * w.in_h + y) * w.in_w + x) * channels);
    }
  }
}

// Taps inside the input extended by its padding.
int64_t padded_taps(int64_t origin, int64_t dilation, int64_t kernel, int64_t extent,
                    int64_t pad_end) {
  const int64_t end = extent + pad_end;
  return origin >= end ? 0 : std::min(kernel, (end - 1 - origin) / dilation + 1);
}

// Channels summed at a time, on the stack.
constexpr int64_t kBlock = 256;
// Taps compared at a time.
constexpr int64_t kTaps = 16;

}  // namespace

void max_pool_u8(const ConvWindow& w, int64_t channels, uint8_t fill, const uint8_t* in,
                 uint8_t* out, ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_pixels(w, channels, pool,
              [&](int64_t n, int64_t y, int64_t x, const TapRange& rows, const TapRange& columns) {
                uint8_t* pixel = out + ((n * w.out_h + y) * w.out_w + x) * channels;
                const uint8_t* taps[kTaps];
                int64_t count = 0;
                bool any = false;
                over_taps(w, channels, in, n, rows, columns, [&](const uint8_t* tap) {
                  if (count == kTaps) {
                    kernels.max(taps, count, pixel, channels);
                    taps[0] = pixel;
                    count = 1;
                  }
                  taps[count++] = tap;
                  any = true;
                });
                if (any) {
                  kernels.max(taps, count, pixel, channels);
                } else {
                  std::memset(pixel, fill, static_cast<size_t>(channels));
                }
              });
}

void average_pool_u8(const AveragePoolParams& params, const ConvWindow& w, int64_t channels,
                     const uint8_t* in, uint8_t* out, ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_pixels(w, channels, pool,
              [&](int64_t n, int64_t y, int64_t x, const TapRange& rows, const TapRange& columns) {
                const int64_t taps = rows.count() * columns.count();
                const int64_t divisor = params.count_include_pad
                                            ? padded_taps(rows.origin, w.dilation_h, w.kernel_h,
                                                          w.in_h, params.pad_bottom) *
                                                  padded_taps(columns.origin, w.dilation_w,
                                                              w.kernel_w, w.in_w, params.pad_right)
                                            : taps;
                const auto multiplier = static_cast<float>(
                    params.ratio / static_cast<double>(std::max<int64_t>(divisor, 1)));
                const auto bias = static_cast<int32_t>(taps * params.in_zero);
                uint8_t* pixel = out + ((n * w.out_h + y) * w.out_w + x) * channels;
                for (int64_t c = 0; c < channels; c += kBlock) {
                  const int64_t count = std::min(kBlock, channels - c);
                  int32_t sums[kBlock] = {};
                  over_taps(w, channels, in, n, rows, columns,
                            [&](const uint8_t* tap) { kernels.accumulate(tap + c, sums, count); });
                  kernels.average(params, sums, bias, multiplier, pixel + c, count);
                }
              });
}

void global_average_pool_u8(const AveragePoolParams& params, int64_t batch, int64_t spatial,
                            int64_t channels, const uint8_t* in, uint8_t* out, ThreadPool& pool,
                            Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  const auto multiplier =
      static_cast<float>(params.ratio / static_cast<double>(std::max<int64_t>(spatial, 1)));
  const auto bias = static_cast<int32_t>(spatial * params.in_zero);
  const int64_t blocks = (channels + kBlock - 1) / kBlock;
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, spatial * kBlock));
  pool.parallel_ranges(batch * blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / blocks;
      const int64_t c = i % blocks * kBlock;
      const int64_t count = std::min(kBlock, channels - c);
      int32_t sums[kBlock] = {};
      for (int64_t p = 0; p < spatial; ++p)
        kernels.accumulate(in + (n * spatial + p) * channels + c, sums, count);
      kernels.average(params, sums, bias, multiplier, out + n * channels + c, count);
    }
  });
}

}  // namespace nibble
