#include "kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "support/isa.h"

namespace nibble {
namespace {

const std::vector<Isa> kAll = testing::all_isas();

struct PoolCase {
  ConvWindow window;
  int64_t channels = 1;
  int64_t pad_bottom = 0;
  int64_t pad_right = 0;
  std::vector<uint8_t> in;

  explicit PoolCase(Random& random) {
    const auto up_to = [&](uint64_t n) { return static_cast<int64_t>(random.below(n + 1)); };
    ConvWindow& w = window;
    w.batch = 1 + up_to(1);
    w.in_h = 3 + up_to(6);
    w.in_w = 3 + up_to(6);
    w.kernel_h = 1 + up_to(random.below(5) == 0 ? 5 : 2);
    w.kernel_w = 1 + up_to(random.below(5) == 0 ? 5 : 2);
    w.stride_h = 1 + up_to(2);
    w.stride_w = 1 + up_to(2);
    w.dilation_h = w.kernel_h == 1 ? 1 : 1 + up_to(1);
    w.dilation_w = w.kernel_w == 1 ? 1 : 1 + up_to(1);
    w.pad_top = up_to(static_cast<uint64_t>(w.kernel_h - 1));
    w.pad_left = up_to(static_cast<uint64_t>(w.kernel_w - 1));
    pad_bottom = up_to(static_cast<uint64_t>(w.kernel_h - 1));
    pad_right = up_to(static_cast<uint64_t>(w.kernel_w - 1));
    // At times one more than fits, as ceil_mode gives.
    const int64_t more = up_to(1);
    w.out_h = window_output(w.in_h, w.pad_top, pad_bottom, w.kernel_h, w.stride_h, w.dilation_h);
    w.out_w = window_output(w.in_w, w.pad_left, pad_right, w.kernel_w, w.stride_w, w.dilation_w);
    w.out_h = std::max<int64_t>(1, w.out_h) + more;
    w.out_w = std::max<int64_t>(1, w.out_w) + more;
    channels = 1 + up_to(70);
    if (random.below(10) == 0) channels += 256;
    in.resize(static_cast<size_t>(w.in_pixels() * channels));
    for (uint8_t& code : in) code = static_cast<uint8_t>(random.below(256));
  }

  // body(code) for every tap of an output element that lies inside the input.
  template <typename Body>
  void taps(int64_t pixel, int64_t channel, const Body& body) const {
    const ConvWindow& w = window;
    const int64_t n = pixel / w.out_w / w.out_h;
    for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
        const int64_t y = pixel / w.out_w % w.out_h * w.stride_h - w.pad_top + ky * w.dilation_h;
        const int64_t x = pixel % w.out_w * w.stride_w - w.pad_left + kx * w.dilation_w;
        if (y >= 0 && y < w.in_h && x >= 0 && x < w.in_w)
          body(in[static_cast<size_t>(((n * w.in_h + y) * w.in_w + x) * channels + channel)]);
      }
    }
  }
  // Taps inside input and padding.
  int64_t padded_taps(int64_t pixel) const {
    const ConvWindow& w = window;
    int64_t count = 0;
    for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
        const int64_t y = pixel / w.out_w % w.out_h * w.stride_h + ky * w.dilation_h;
        const int64_t x = pixel % w.out_w * w.stride_w + kx * w.dilation_w;
        if (y < w.pad_top + w.in_h + pad_bottom && x < w.pad_left + w.in_w + pad_right) ++count;
      }
    }
    return count;
  }
  int64_t outputs() const { return window.out_pixels() * channels; }
};

uint8_t expected_average(const AveragePoolParams& p, int32_t sum, int64_t count) {
  const auto multiplier =
      static_cast<float>(p.ratio / static_cast<double>(std::max<int64_t>(count, 1)));
  const float code = std::nearbyint(static_cast<float>(sum) * multiplier);
  return static_cast<uint8_t>(
      std::clamp<double>(static_cast<double>(code) + p.out_zero, p.qmin, p.qmax));
}

TEST(max_pool_u8, takes_the_largest_code_inside_the_input) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const PoolCase c(random);
    std::vector<uint8_t> expected;
    for (int64_t at = 0; at < c.outputs(); ++at) {
      int largest = -1;
      c.taps(at / c.channels, at % c.channels,
             [&](uint8_t code) { largest = std::max<int>(largest, code); });
      expected.push_back(static_cast<uint8_t>(largest < 0 ? 77 : largest));
    }
    for (const Isa isa : kAll) {
      if (!is_supported(isa)) continue;
      ThreadPool pool(1 + i % 3);
      std::vector<uint8_t> out(expected.size());
      max_pool_u8(c.window, c.channels, 77, c.in.data(), out.data(), pool, isa);
      ASSERT_EQ(out, expected) << name_of(isa) << " case " << i;
    }
  }
}

TEST(average_pool_u8, equals_the_formula) {
  Random random(2);
  for (int i = 0; i < 300; ++i) {
    const PoolCase c(random);
    const AveragePoolParams params{.ratio = 0.3 + random.uniform(),
                                   .in_zero = static_cast<int32_t>(random.below(256)),
                                   .out_zero = static_cast<int32_t>(random.below(256)),
                                   .count_include_pad = random.below(2) != 0,
                                   .pad_bottom = c.pad_bottom,
                                   .pad_right = c.pad_right};
    std::vector<uint8_t> expected;
    for (int64_t at = 0; at < c.outputs(); ++at) {
      int32_t sum = 0;
      int64_t count = 0;
      c.taps(at / c.channels, at % c.channels, [&](uint8_t code) {
        sum += code - params.in_zero;
        ++count;
      });
      if (params.count_include_pad) count = c.padded_taps(at / c.channels);
      expected.push_back(expected_average(params, sum, count));
    }
    for (const Isa isa : kAll) {
      if (!is_supported(isa)) continue;
      ThreadPool pool(1 + i % 3);
      std::vector<uint8_t> out(expected.size());
      average_pool_u8(params, c.window, c.channels, c.in.data(), out.data(), pool, isa);
      ASSERT_EQ(out, expected) << name_of(isa) << " case " << i;
    }
  }
}

TEST(global_average_pool_u8, equals_the_formula) {
  Random random(3);
  for (const int64_t channels : {1, 7, 16, 33, 64, 256, 257, 1000}) {
    for (const int64_t spatial : {1, 4, 49, 169}) {
      std::vector<uint8_t> in(static_cast<size_t>(2 * spatial * channels));
      for (uint8_t& code : in) code = static_cast<uint8_t>(random.below(256));
      const AveragePoolParams params{.ratio = 1.3, .in_zero = 11, .out_zero = 5};
      for (const Isa isa : kAll) {
        if (!is_supported(isa)) continue;
        ThreadPool pool(2);
        std::vector<uint8_t> out(static_cast<size_t>(2 * channels));
        global_average_pool_u8(params, 2, spatial, channels, in.data(), out.data(), pool, isa);
        for (int64_t at = 0; at < 2 * channels; ++at) {
          int32_t sum = 0;
          for (int64_t s = 0; s < spatial; ++s)
            sum +=
                in[static_cast<size_t>((at / channels * spatial + s) * channels + at % channels)] -
                params.in_zero;
          ASSERT_EQ(out[static_cast<size_t>(at)], expected_average(params, sum, spatial))
              << name_of(isa);
        }
      }
    }
  }
}

}  // namespace
}  // namespace nibble
