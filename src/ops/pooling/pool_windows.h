// The windows that pooling operators look through.
#pragma once

#include <algorithm>
#include <array>

#include "base/thread_pool.h"
#include "nibble/graph.h"
#include "ops/support/spatial.h"

namespace nibble {

/// A plane is walked position by position, `lane` channels at once: channels-last data has one
/// plane per image and all channels side by side, channels-first data one plane per channel.
struct PoolProblem {
  Window window;
  Shape output;
  int64_t planes = 0, lane = 0;
  int64_t in_positions = 0, out_positions = 0;
  bool count_include_pad = false;
  bool column_major = false;  // of the indices
  float p = 2;
};

/// Of a node with a kernel_shape and of a global one, which has one window over everything,
/// whatever the rank; over `data`.
PoolProblem pool_problem(const Node& node, const Shape& data);
PoolProblem global_problem(const Node& node, const Shape& data);

/// The window along one axis, over one output index: where it starts, and its taps [first, last)
/// that lie inside the input.
struct Reach {
  int64_t start, first, last;

  Reach(const Window& w, size_t axis, int64_t index) {
    start = index * w.stride[axis] - w.pad_begin[axis];
    const int64_t d = w.dilation[axis];
    first = start < 0 ? (-start + d - 1) / d : 0;
    last = std::clamp<int64_t>((w.input[axis] - start + d - 1) / d, 0, w.kernel[axis]);
  }
};

/// The window over one output position.
struct Taps {
  std::array<int64_t, Window::kMaxRank> first, last, start;

  Taps(const Window& w, int64_t position) {
    for (int i = w.rank - 1; i >= 0; --i) {
      const auto a = static_cast<size_t>(i);
      const Reach reach(w, a, position % w.output[a]);
      position /= w.output[a];
      start[a] = reach.start;
      first[a] = reach.first;
      last[a] = reach.last;
    }
  }

  int64_t inside(const Window& w) const {
    int64_t count = 1;
    for (size_t a = 0; a < static_cast<size_t>(w.rank); ++a) {
      count *= std::max<int64_t>(0, last[a] - first[a]);
    }
    return count;
  }

  // Taps inside the input or its padding, which a last partial window (ceil_mode) may overhang.
  int64_t inside_padded(const Window& w) const {
    int64_t count = 1;
    for (size_t a = 0; a < static_cast<size_t>(w.rank); ++a) {
      const int64_t room = w.input[a] + w.pad_end[a] - start[a];
      count *= std::min(w.kernel[a], (room + w.dilation[a] - 1) / w.dilation[a]);
    }
    return count;
  }

  // Calls body(pixel) for each tap inside, in row-major order.
  template <typename Body>
  void each(const Window& w, const Body& body, int axis = 0, int64_t pixel = 0) const {
    const auto a = static_cast<size_t>(axis);
    if (axis == w.rank) return body(pixel);
    for (int64_t t = first[a]; t < last[a]; ++t) {
      each(w, body, axis + 1, pixel * w.input[a] + start[a] + t * w.dilation[a]);
    }
  }
};

/// Calls body(plane, position) for all outputs, over the pool.
template <typename Body>
void each_output(const PoolProblem& problem, ThreadPool& pool, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, problem.lane));
  pool.parallel_ranges(problem.planes * problem.out_positions, grain,
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           body(i / problem.out_positions, i % problem.out_positions);
                         }
                       });
}

}  // namespace nibble
