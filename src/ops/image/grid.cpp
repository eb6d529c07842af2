// GridSample and AffineGrid: sampling a tensor at positions given by a grid in [-1, 1].
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"

namespace nibble {
namespace {

enum class Sampling : uint8_t { nearest, linear, cubic };
enum class Padding : uint8_t { zeros, border, reflection };

struct Sampler {
  Sampling sampling = Sampling::linear;
  Padding padding = Padding::zeros;
  bool align_corners = false;

  explicit Sampler(const Node& node) {
    const std::string mode = node.attributes.text("mode", "linear");
    const std::string pad = node.attributes.text("padding_mode", "zeros");
    if (mode == "nearest") {
      sampling = Sampling::nearest;
    } else if (mode == "cubic" || mode == "bicubic") {
      sampling = Sampling::cubic;
    } else if (mode != "linear" && mode != "bilinear") {
      fail(ErrorCode::unsupported, "the mode '{}' is not known", mode);
    }
    if (pad == "border") {
      padding = Padding::border;
    } else if (pad == "reflection") {
      padding = Padding::reflection;
    } else if (pad != "zeros") {
      fail(ErrorCode::unsupported, "the padding mode '{}' is not known", pad);
    }
    align_corners = node.attributes.integer("align_corners", 0) != 0;
  }

  float position(float x, int64_t extent) const {
    const auto n = static_cast<float>(extent);
    return align_corners ? (x + 1) / 2 * (n - 1) : ((x + 1) * n - 1) / 2;
  }

  // Mirrored at the outer pixels' centres (align_corners) or edges.
  float reflected(float x, int64_t extent) const {
    const float low = align_corners ? 0 : -0.5F;
    const float span = align_corners ? static_cast<float>(extent - 1) : static_cast<float>(extent);
    if (span <= 0) return 0;
    const float phase = std::fmod(std::abs(x - low), 2 * span);
    return low + (phase <= span ? phase : 2 * span - phase);
  }

  float confined(float x, int64_t extent) const {
    if (padding == Padding::border) return std::clamp(x, 0.0F, static_cast<float>(extent - 1));
    if (padding == Padding::reflection) return reflected(x, extent);
    return x;
  }

  // Index of a pixel, -1 for one that is zero.
  int64_t pixel(int64_t at, int64_t extent) const {
    if (at >= 0 && at < extent) return at;
    if (padding == Padding::zeros) return -1;
    if (padding == Padding::border) return std::clamp<int64_t>(at, 0, extent - 1);
    return static_cast<int64_t>(std::lround(reflected(static_cast<float>(at), extent)));
  }
};

// The pixels along one axis that a sample is made of.
struct Taps {
  int count = 0;
  std::array<int64_t, 4> at{};
  std::array<float, 4> weight{};

  Taps() = default;
  Taps(const Sampler& sampler, float coordinate, int64_t extent) {
    float x = sampler.position(coordinate, extent);
    if (sampler.sampling == Sampling::nearest) x = std::nearbyint(x);
    x = sampler.confined(x, extent);
    if (!(std::abs(x) < 1e9F)) x = -1e9F;  // NaN and far away: outside
    if (sampler.sampling == Sampling::nearest) {
      count = 1;
      at[0] = sampler.pixel(static_cast<int64_t>(std::nearbyint(x)), extent);
      weight[0] = 1;
      return;
    }
    const float base = std::floor(x), ratio = x - base;
    const bool cubic = sampler.sampling == Sampling::cubic;
    count = cubic ? 4 : 2;
    for (int t = 0; t < count; ++t) {
      const int shift = cubic ? t - 1 : t;
      const auto i = static_cast<size_t>(t);
      at[i] = sampler.pixel(static_cast<int64_t>(base) + shift, extent);
      const float distance = std::abs(ratio - static_cast<float>(shift));
      weight[i] = cubic ? keys(distance) : 1 - distance;
    }
  }

  // Keys, "Cubic convolution interpolation", 1981, with a = -0.75.
  static float keys(float x) {
    constexpr float a = -0.75F;
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  }
};

constexpr int kMaxAxes = 3;

// `taps` and `extents` of the kAxes axes still to go.
template <int kAxes>
float sample(const float* plane, const Taps* taps, const int64_t* extents, int64_t offset) {
  if constexpr (kAxes == 0) {
    return plane[offset];
  } else {
    float sum = 0;
    for (int t = 0; t < taps->count; ++t) {
      const auto i = static_cast<size_t>(t);
      if (taps->at[i] < 0 || taps->weight[i] == 0) continue;
      sum += taps->weight[i] *
             sample<kAxes - 1>(plane, taps + 1, extents + 1, offset * *extents + taps->at[i]);
    }
    return sum;
  }
}

using SampleFunction = float(const float*, const Taps*, const int64_t*, int64_t);
constexpr std::array<SampleFunction*, kMaxAxes + 1> kSample = {sample<0>, sample<1>, sample<2>,
                                                               sample<3>};

Shape sampled_shape(const Shape& data, const Shape& grid) {
  const int axes = data.rank() - 2;
  if (axes < 1 || axes > kMaxAxes || grid.rank() != data.rank() ||
      (grid[grid.rank() - 1] >= 0 && grid[grid.rank() - 1] != axes) ||
      (grid[0] >= 0 && data[0] >= 0 && grid[0] != data[0])) {
    fail(ErrorCode::invalid_model, "the grid {} does not fit the data {}", grid.to_string(),
         data.to_string());
  }
  Shape shape = {data[0], data[1]};
  for (int i = 0; i < axes; ++i) shape.push_back(grid[i + 1]);
  return shape;
}

std::vector<TensorType> infer_grid_sample(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    type.shape = sampled_shape(types.shape(0), types.shape(1));
  }
  return {type};
}

void eval_grid_sample(EvalContext& context) {
  if (context.input(0).dtype() != DType::f32) return eval_as_f32(context, eval_grid_sample);
  const Shape& data = context.input(0).shape();
  const Shape shape = sampled_shape(data, context.input(1).shape());
  const Sampler sampler(context.node);
  const int axes = data.rank() - 2;
  SampleFunction* const point = kSample[static_cast<size_t>(axes)];
  const int64_t* extents = data.begin() + 2;
  const int64_t plane = data.elements(2, data.rank());
  const int64_t points = shape.elements(2, shape.rank()), channels = shape[1];
  const float* in = context.input(0).data<float>().data();
  const float* grid = context.input(1).data<float>().data();
  float* out = context.output(0, DType::f32, shape).data<float>().data();
  context.pool.parallel_ranges(shape[0] * points, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / points;
      std::array<Taps, kMaxAxes> taps;
      for (int axis = 0; axis < axes; ++axis) {  // the grid names the last axis first
        taps[static_cast<size_t>(axis)] =
            Taps(sampler, grid[i * axes + axes - 1 - axis], extents[axis]);
      }
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t at = image * channels + c;
        out[at * points + i % points] = point(in + at * plane, taps.data(), extents, 0);
      }
    }
  });
}

// ---- AffineGrid

Shape grid_shape(std::span<const int64_t> size) {
  if (size.size() < 4 || size.size() > 5) {
    fail(ErrorCode::invalid_model, "a size of {} entries: [N,C,H,W] or [N,C,D,H,W] is needed",
         size.size());
  }
  Shape shape = {size[0]};
  for (int64_t extent : size.subspan(2)) shape.push_back(extent);
  shape.push_back(static_cast<int64_t>(size.size()) - 2);
  return shape;
}

std::vector<TensorType> infer_affine_grid(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.constant(1) != nullptr) type.shape = grid_shape(to_int64s(*types.constant(1)));
  return {type};
}

void eval_affine_grid(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_affine_grid);
  const Shape shape = grid_shape(to_int64s(context.input(1)));
  const int axes = shape.rank() - 2;
  const bool align = context.node.attributes.integer("align_corners", 0) != 0;
  const Shape& given = context.input(0).shape();
  if (!(given == Shape{shape[0], axes, axes + 1})) {
    fail(ErrorCode::invalid_model, "theta is {}, expected {}", given.to_string(),
         Shape{shape[0], axes, axes + 1}.to_string());
  }
  const float* theta = context.input(0).data<float>().data();
  float* out = context.output(0, DType::f32, shape).data<float>().data();
  const auto coordinate = [align](int64_t at, int64_t extent) {
    const auto x = static_cast<float>(at), n = static_cast<float>(extent);
    if (align) return extent > 1 ? 2 * x / (n - 1) - 1 : -1.0F;
    return (2 * x + 1) / n - 1;
  };
  const int64_t points = shape.elements(1, axes + 1);
  for (int64_t i = 0; i < shape[0] * points; ++i) {
    std::array<float, kMaxAxes> position{};  // x first, as the matrix has it
    int64_t rest = i % points;
    for (int axis = axes; axis >= 1; --axis) {
      position[static_cast<size_t>(axes - axis)] = coordinate(rest % shape[axis], shape[axis]);
      rest /= shape[axis];
    }
    const float* matrix = theta + i / points * axes * (axes + 1);
    for (int row = 0; row < axes; ++row) {
      float sum = matrix[row * (axes + 1) + axes];
      for (int column = 0; column < axes; ++column) {
        sum += matrix[row * (axes + 1) + column] * position[static_cast<size_t>(column)];
      }
      out[i * axes + row] = sum;
    }
  }
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .eval = eval,
          .kernels = "plain loops: nothing to prepare",
          .why_float = "interpolation at computed positions stays in float",
          .tolerance = 1e-4};
}

constexpr std::array kRows = {
    row("AffineGrid", infer_affine_grid, eval_affine_grid),
    row("GridSample", infer_grid_sample, eval_grid_sample),
};

}  // namespace

std::span<const OpRow> grid_ops() { return kRows; }

}  // namespace nibble
