// Poolings over windows: MaxPool, AveragePool, LpPool; and over all positions: Global*Pool.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"
#include "ops/support/spatial.h"

namespace nibble {
namespace {

// A plane is walked position by position, `lane` channels at once: channels-last data has one plane
// per image and all channels side by side, channels-first data one plane per channel.
struct PoolProblem {
  Window window;
  Shape output;
  int64_t planes = 0, lane = 0;
  int64_t in_positions = 0, out_positions = 0;
  bool count_include_pad = false;
  bool column_major = false;  // of the indices
  float p = 2;
};

PoolProblem pool_problem(const Node& node, const Shape& data) {
  const bool channels_last = node.channels_last;
  const SpatialShape x(data, channels_last);
  PoolProblem problem;
  problem.window =
      make_window(node.attributes, x.spatial(), {}, node.attributes.integer("ceil_mode", 0) != 0);
  const std::span<const int64_t> out(problem.window.output.data(), static_cast<size_t>(x.rank));
  problem.output = spatial_shape(x.batch, x.channels, out, channels_last);
  problem.planes = channels_last ? x.batch : x.batch * x.channels;
  problem.lane = channels_last ? x.channels : 1;
  problem.in_positions = x.positions();
  problem.out_positions = 1;
  for (int64_t extent : out) problem.out_positions *= extent;
  problem.count_include_pad = node.attributes.integer("count_include_pad", 0) != 0;
  problem.column_major = node.attributes.integer("storage_order", 0) != 0;
  return problem;
}

// The window along one axis, over one output index: where it starts, and its taps [first, last)
// that lie inside the input.
struct Reach {
  int64_t start, first, last;

  Reach(const Window& w, size_t axis, int64_t index) {
    start = index * w.stride[axis] - w.pad_begin[axis];
    const int64_t d = w.dilation[axis];
    first = start < 0 ? (-start + d - 1) / d : 0;
    last = std::clamp<int64_t>((w.input[axis] - start + d - 1) / d, 0, w.kernel[axis]);
  }
};

// The window over one output position.
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

// Calls body(plane, position) for all outputs, over the pool.
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

struct MaxPool {
  static constexpr std::string_view kName = "max pool";
  PoolProblem problem;

  void operator()(EvalContext& context) const {
    switch (context.input(0).dtype()) {
      case DType::f32:
        return run<float>(context);
      case DType::f64:
        return run<double>(context);
      case DType::i8:
        return run<int8_t>(context);
      case DType::u8:
        return run<uint8_t>(context);
      default:
        fail(ErrorCode::unsupported, "no pooling of {}", name_of(context.input(0).dtype()));
    }
  }

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

// Channels summed at a time, on the stack: in double, as a window may be as large as the input.
constexpr int64_t kBlock = 64;

// Sums value(x) over the taps of each output and calls finish(sum, taps) for the result.
template <typename T, typename Value, typename Finish>
void sum_windows(const PoolProblem& problem, EvalContext& context, const Value& value,
                 const Finish& finish) {
  const T* in = context.input(0).data<T>().data();
  T* out = context.output(0, dtype_of<T>(), problem.output).template data<T>().data();
  const int64_t lane = problem.lane;
  each_output(problem, context.pool, [&](int64_t plane, int64_t position) {
    const Taps taps(problem.window, position);
    const T* from = in + plane * problem.in_positions * lane;
    T* to = out + (plane * problem.out_positions + position) * lane;
    for (int64_t at = 0; at < lane; at += kBlock) {
      const int64_t channels = std::min(kBlock, lane - at);
      alignas(64) std::array<double, kBlock> sums;
      std::fill_n(sums.begin(), channels, 0.0);
      taps.each(problem.window, [&](int64_t pixel) {
        const T* row = from + pixel * lane + at;
        for (int64_t c = 0; c < channels; ++c) sums[static_cast<size_t>(c)] += value(row[c]);
      });
      for (int64_t c = 0; c < channels; ++c) {
        to[at + c] = static_cast<T>(finish(sums[static_cast<size_t>(c)], taps));
      }
    }
  });
}

template <typename T>
struct AveragePool {
  static constexpr std::string_view kName = "average pool";
  PoolProblem problem;

  void operator()(EvalContext& context) const {
    const auto mean = [&](double sum, const Taps& taps) {
      const int64_t count = problem.count_include_pad ? taps.inside_padded(problem.window)
                                                      : taps.inside(problem.window);
      return sum / static_cast<double>(std::max<int64_t>(1, count));
    };
    sum_windows<T>(
        problem, context, [](T x) { return static_cast<double>(x); }, mean);
  }
};

struct LpPool {
  PoolProblem problem;

  void operator()(EvalContext& context) const {
    const double p = static_cast<double>(problem.p);
    const auto root = [&](double sum, const Taps&) { return std::pow(sum, 1 / p); };
    const auto power = [&](float x) {
      const double wide = static_cast<double>(x);
      return p == 2 ? wide * wide : std::pow(std::abs(wide), p);
    };
    sum_windows<float>(problem, context, power, root);
  }
};

// One window over everything, whatever the rank.
PoolProblem global_problem(const Node& node, const Shape& data) {
  const SpatialShape x(data, node.channels_last);
  PoolProblem problem;
  problem.window.rank = 1;
  problem.window.input[0] = problem.window.kernel[0] = problem.in_positions = x.positions();
  problem.out_positions = 1;
  const std::vector<int64_t> ones(static_cast<size_t>(x.rank), 1);
  problem.output = spatial_shape(x.batch, x.channels, ones, node.channels_last);
  problem.planes = node.channels_last ? x.batch : x.batch * x.channels;
  problem.lane = node.channels_last ? x.channels : 1;
  return problem;
}

float power_of(const EvalContext& context) {
  const Attribute* p = context.node.attributes.find("p");
  // An integer since opset 2, a float before.
  if (p != nullptr && std::holds_alternative<float>(*p)) return std::get<float>(*p);
  return static_cast<float>(context.node.attributes.integer("p", 2));
}

std::vector<TensorType> infer_pool(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) {
    const bool channels_last = types.node.channels_last;
    const SpatialShape x(types.shape(0), channels_last);
    if (!types.node.attributes.has("kernel_shape")) {
      fail(ErrorCode::invalid_model, "attribute kernel_shape is missing");
    }
    const Window window = make_window(types.node.attributes, x.spatial(), {},
                                      types.node.attributes.integer("ceil_mode", 0) != 0);
    type.shape =
        spatial_shape(x.batch, x.channels,
                      std::span(window.output.data(), static_cast<size_t>(x.rank)), channels_last);
  }
  std::vector<TensorType> outputs = {type};
  if (types.node.outputs.size() > 1) outputs.push_back({.dtype = DType::i64, .shape = type.shape});
  return outputs;
}

std::vector<TensorType> infer_global(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) {
    const bool channels_last = types.node.channels_last;
    const SpatialShape x(types.shape(0), channels_last);
    const std::vector<int64_t> ones(static_cast<size_t>(x.rank), 1);
    type.shape = spatial_shape(x.batch, x.channels, ones, channels_last);
  }
  return {type};
}

void eval_max_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_max_pool);
  MaxPool{pool_problem(context.node, context.input(0).shape())}(context);
}

template <typename T>
void average(const PoolProblem& problem, EvalContext& context) {
  AveragePool<T>{problem}(context);
}

void eval_average_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_average_pool);
  const PoolProblem problem = pool_problem(context.node, context.input(0).shape());
  if (context.input(0).dtype() == DType::f64) return average<double>(problem, context);
  average<float>(problem, context);
}

void eval_lp_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_lp_pool);
  LpPool pool{pool_problem(context.node, context.input(0).shape())};
  pool.problem.p = power_of(context);
  pool(context);
}

void eval_global_max(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_max);
  MaxPool{global_problem(context.node, context.input(0).shape())}(context);
}

void eval_global_average(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_average);
  const PoolProblem problem = global_problem(context.node, context.input(0).shape());
  if (context.input(0).dtype() == DType::f64) return average<double>(problem, context);
  average<float>(problem, context);
}

void eval_global_lp(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_lp);
  LpPool pool{global_problem(context.node, context.input(0).shape())};
  pool.problem.p = power_of(context);
  pool(context);
}

template <typename Op, PoolProblem problem_of(const Node&, const Shape&)>
std::unique_ptr<Kernel> prepare(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.input(0).dtype != DType::f32 || !types.shape(0).is_static()) return nullptr;
  return make_prepared(Op{problem_of(types.node, types.shape(0))});
}

constexpr std::array kMaxPoolKernels = {
    KernelRow{.name = "max pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::moved,
              .make = integer_max_pool},
    on_reals("max pool on f32", prepare<MaxPool, pool_problem>),
};
constexpr std::array kAveragePoolKernels = {
    KernelRow{.name = "average pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::u8,
              .make = integer_average_pool},
    on_reals("average pool on f32", prepare<AveragePool<float>, pool_problem>),
};
constexpr std::array kGlobalMaxKernels = {
    on_reals("max pool on f32", prepare<MaxPool, global_problem>),
};
constexpr std::array kGlobalAverageKernels = {
    KernelRow{.name = "global average pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::u8,
              .make = integer_global_average_pool},
    on_reals("average pool on f32", prepare<AveragePool<float>, global_problem>),
};

constexpr std::array kRows = {
    OpRow{.name = "MaxPool",
          .max_outputs = 2,
          .infer = infer_pool,
          .eval = eval_max_pool,
          .kernels = kMaxPoolKernels,
          .quant = QuantRole::same_codes,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 0},
    OpRow{.name = "AveragePool",
          .infer = infer_pool,
          .eval = eval_average_pool,
          .kernels = kAveragePoolKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial},
    OpRow{.name = "LpPool",
          .infer = infer_pool,
          .eval = eval_lp_pool,
          .kernels = "rare: evaluated as it is",
          .why_float = "a root of a sum of powers has no integer form",
          .layout = LayoutRole::spatial},
    OpRow{.name = "GlobalMaxPool",
          .infer = infer_global,
          .eval = eval_global_max,
          .kernels = kGlobalMaxKernels,
          .why_float = "rare: evaluated in float between quantized layers",
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 0},
    OpRow{.name = "GlobalAveragePool",
          .infer = infer_global,
          .eval = eval_global_average,
          .kernels = kGlobalAverageKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial},
    OpRow{.name = "GlobalLpPool",
          .infer = infer_global,
          .eval = eval_global_lp,
          .kernels = "rare: evaluated as it is",
          .why_float = "a root of a sum of powers has no integer form",
          .layout = LayoutRole::spatial},
};

}  // namespace

std::span<const OpRow> pool_ops() { return kRows; }

}  // namespace nibble
