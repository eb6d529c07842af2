#include "ops/pooling/max_pool.h"

#include <limits>

#include "base/check.h"

namespace nibble {
namespace {

int64_t column_major_index(const Window& w, int64_t pixel) {
  int64_t index = 0;
  std::array<int64_t, Window::kMaxRank> at{};
  for (int i = w.rank - 1; i >= 0; --i) {
    at[static_cast<size_t>(i)] = pixel % w.input[static_cast<size_t>(i)];
    pixel /= w.input[static_cast<size_t>(i)];
  }
  for (int i = w.rank - 1; i >= 0; --i) {
    index = index * w.input[static_cast<size_t>(i)] + at[static_cast<size_t>(i)];
  }
  return index;
}

template <typename T>
constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                              : std::numeric_limits<T>::lowest();
}

// Of numbers of one type.
struct Pooling {
  const PoolProblem& problem;

  template <typename T>
  void run(EvalContext& context) const {
    const T* in = context.input(0).data<T>().data();
    T* out = context.output(0, dtype_of<T>(), problem.output).template data<T>().data();
    int64_t* indices = nullptr;
    if (context.wants(1)) {
      indices = context.output(1, DType::i64, problem.output).template data<int64_t>().data();
    }
    if (indices == nullptr && goes_by_rows()) return by_rows(in, out, context.pool);
    const int64_t lane = problem.lane;
    each_output(problem, context.pool, [&](int64_t plane, int64_t position) {
      const Taps taps(problem.window, position);
      const T* from = in + plane * problem.in_positions * lane;
      const int64_t at = (plane * problem.out_positions + position) * lane;
      T* to = out + at;
      std::fill_n(to, lane, lowest<T>());
      if (indices != nullptr) return with_indices(taps, from, to, indices + at, plane);
      taps.each(problem.window, [&](int64_t pixel) {
        const T* row = from + pixel * lane;
        for (int64_t c = 0; c < lane; ++c) to[c] = row[c] > to[c] ? row[c] : to[c];
      });
    });
  }

  static constexpr size_t kWidest = 2048;
  bool goes_by_rows() const {
    const Window& w = problem.window;
    return problem.lane == 1 && w.rank == 2 && w.dilation[1] == 1 &&
           w.input[1] <= static_cast<int64_t>(kWidest);
  }

  // Of planes: down the columns of all the rows that an output row sees, then along what is left.
  template <typename T>
  void by_rows(const T* in, T* out, ThreadPool& pool) const {
    const Window& w = problem.window;
    const int64_t width = w.input[1], rows = w.output[0], columns = w.output[1];
    const auto larger = [](T x, T than) { return x > than ? x : than; };
    const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, columns));
    pool.parallel_ranges(problem.planes * rows, grain, [&](int64_t begin, int64_t end) {
      std::array<T, kWidest> highest;
      for (int64_t i = begin; i < end; ++i) {
        const Reach down(w, 0, i % rows);
        const T* plane = in + i / rows * problem.in_positions;
        std::fill_n(highest.begin(), width, lowest<T>());
        for (int64_t t = down.first; t < down.last; ++t) {
          const T* row = plane + (down.start + t * w.dilation[0]) * width;
          T* top = highest.data();
          for (int64_t x = 0; x < width; ++x) top[x] = larger(row[x], top[x]);
        }
        T* to = out + i * columns;
        for (int64_t x = 0; x < columns; ++x) {
          const int64_t start = x * w.stride[1] - w.pad_begin[1];
          const int64_t last = std::min(start + w.kernel[1], width);
          T best = lowest<T>();
          for (int64_t column = std::max<int64_t>(0, start); column < last; ++column) {
            best = larger(highest[static_cast<size_t>(column)], best);
          }
          to[x] = best;
        }
      }
    });
  }

  template <typename T>
  void with_indices(const Taps& taps, const T* from, T* to, int64_t* indices, int64_t plane) const {
    const int64_t lane = problem.lane;
    std::fill_n(indices, lane, int64_t{-1});
    taps.each(problem.window, [&](int64_t pixel) {
      const int64_t index =
          problem.column_major ? column_major_index(problem.window, pixel) : pixel;
      for (int64_t c = 0; c < lane; ++c) {
        const T x = from[pixel * lane + c];
        if (indices[c] >= 0 && !(x > to[c])) continue;
        to[c] = x;
        indices[c] = (plane * lane + c) * problem.in_positions + index;
      }
    });
  }
};

}  // namespace

void MaxPool::operator()(EvalContext& context) const {
  switch (context.input(0).dtype()) {
    case DType::f32:
      return Pooling{problem}.run<float>(context);
    case DType::f64:
      return Pooling{problem}.run<double>(context);
    case DType::i8:
      return Pooling{problem}.run<int8_t>(context);
    case DType::u8:
      return Pooling{problem}.run<uint8_t>(context);
    default:
      fail(ErrorCode::unsupported, "no pooling of {}", name_of(context.input(0).dtype()));
  }
}

}  // namespace nibble
