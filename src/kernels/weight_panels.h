// Constant weights on their way into the order of the micro kernels. What the weights are decides
// how they are multiplied: each panel lies in the best form that is right for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/micro.h"

namespace nibble {

/// Weights in any order in memory. The products of an output channel are summed over
/// [outer][inner].
struct WeightView {
  const int8_t* data = nullptr;
  int64_t output_step = 0;  // from channel to channel
  int64_t outer = 1, outer_step = 0;
  int64_t inner = 1, inner_step = 1;

  int64_t depth() const { return outer * inner; }
  /// Those of `count` channels, one channel after another.
  void copy(int64_t first, int64_t count, int8_t* rows) const;
};

/// How the products of a channel are met: `segments` runs of `segment` weights, each filled up to
/// whole quads.
struct QuadShape {
  int64_t segments = 1;
  int64_t segment = 1;

  int64_t depth() const { return segments * segment; }
  int64_t segment_quads() const { return (segment + 3) / 4; }
  int64_t quads() const { return segments * segment_quads(); }
};

/// What some channels' weights allow.
struct WeightBounds {
  int32_t greatest_code = 255;  // no code that they meet is larger
  int8_t low = 0;
  int8_t high = 0;
  int64_t magnitudes = 0;  // sum of |w|, the most of any channel
  /// Quads of products that fit 16 bits when they are added two by two, a power of two: of bytes 0
  /// and 1 of each quad, and of bytes 2 and 3, counted from the beginning of the segment. 0: not
  /// even those of one quad.
  int64_t run = kLongestRun;

  static constexpr int64_t kLongestRun = 1024;

  /// Takes one more channel in.
  void add(std::span<const int8_t> row, const QuadShape& shape);
};

/// The first of the forms that is right for such weights.
const MicroForm& form_for(const MicroKernels& kernels, const WeightBounds& bounds);

/// Bytes of a block in that form.
int64_t block_bytes(const MicroForm& form, int64_t lanes, const QuadShape& shape);

/// One block of at most `lanes` channels, which lie one after another in `rows`, in the form's
/// order; `block` has block_bytes(). What pads it, in channels and in quads, are zeros.
void pack_block(const MicroForm& form, int64_t lanes, const QuadShape& shape,
                std::span<const int8_t> rows, std::byte* block);

}  // namespace nibble
