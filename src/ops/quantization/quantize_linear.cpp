// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, as nodes: what fold_qdq left in the
// graph. q = saturate(round_half_to_even(x / scale) + zero_point); x = (q - zero_point) * scale.
// Arithmetic is f32 whatever the float type.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/dynamic_grid.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"
#include "ops/support/onnx_dtype.h"

namespace nibble {
namespace {

/// Which scale belongs to which element: the tensor as [outer, count, inner] around the axis; runs
/// of `inner` elements have one scale (per tensor, per axis) or `inner` scales side by side
/// (blocked).
struct Grid {
  int64_t outer = 1;
  int64_t count = 1;
  int64_t inner = 1;
  int64_t block = 0;  // > 0: blocked along the axis
  bool per_axis = false;

  int64_t scale_step() const { return block > 0 ? 1 : 0; }
  int64_t first_scale(int64_t run) const {
    const int64_t along = run % count;
    if (block == 0) return per_axis ? along : 0;
    const int64_t blocks = (count + block - 1) / block;
    return (run / count * blocks + along / block) * inner;
  }
};

/// Throws Error{invalid_model} if shapes of data and scale, `axis` and `block_size` do not fit.
Grid grid_of(const Node& node, const Shape& shape, const Shape& scale) {
  const int64_t block = node.attributes.integer("block_size", 0);
  if (block < 0) fail(ErrorCode::invalid_model, "attribute block_size is {}", block);
  if (block == 0 && scale.elements() == 1) return {.inner = shape.elements()};
  const int axis = normalize_axis(node.attributes.integer("axis", 1), shape.rank());
  Grid grid{.outer = shape.elements(0, axis),
            .count = shape[axis],
            .inner = shape.elements(axis + 1, shape.rank()),
            .block = block,
            .per_axis = block == 0};
  Shape expected{shape[axis]};
  if (block > 0) {
    expected = shape;
    expected[axis] = (shape[axis] + block - 1) / block;
  }
  if (!(scale == expected)) {
    fail(ErrorCode::invalid_model, "scale has shape {}, expected {} for data {} with axis {}{}",
         scale.to_string(), expected.to_string(), shape.to_string(), axis,
         block > 0 ? fmt::format(" and blocks of {}", block) : "");
  }
  return grid;
}

void require_zero_points(const Tensor& scale, const Tensor& zero_point) {
  if (zero_point.elements() == scale.elements()) return;
  fail(ErrorCode::invalid_model, "zero point has shape {}, but scale has {}",
       zero_point.shape().to_string(), scale.shape().to_string());
}

/// Scales as f32 and zero points as f32 (they have at most 16 bits, or are 0).
struct Parameters {
  Tensor scale;
  Tensor zero_point;

  Parameters(const EvalContext& context) : scale(convert(context.input(1), DType::f32)) {
    zero_point = Tensor(DType::f32, scale.shape());
    if (!context.has(2)) return;
    require_zero_points(context.input(1), context.input(2));
    zero_point = convert(context.input(2), DType::f32);
  }
};

/// Calls body(first, count, scale, zero_point, step) for each run of elements with one scale, or
/// with scales side by side.
template <typename Body>
void each_run(const Grid& grid, const Parameters& parameters, ThreadPool& pool, const Body& body) {
  const float* scale = parameters.scale.data<float>().data();
  const float* zero = parameters.zero_point.data<float>().data();
  const int64_t runs = grid.outer * grid.count;
  if (runs == 1 && grid.block == 0) {
    pool.parallel_ranges(grid.inner, kCheapGrain, [&](int64_t begin, int64_t end) {
      body(begin, end - begin, scale, zero, int64_t{0});
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, grid.inner));
  pool.parallel_ranges(runs, grain, [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      const int64_t at = grid.first_scale(run);
      body(run * grid.inner, grid.inner, scale + at, zero + at, grid.scale_step());
    }
  });
}

// Rounds |x| <= 2^22 to the nearest integer, ties to even, without a call.
float round_small(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23
  return (x + kRound) - kRound;
}

/// Codes of `count` reals. Clamping before rounding is the same, for the bounds are integers. NaN
/// becomes the lowest code.
template <typename Q>
void quantize_run(const float* x, Q* q, int64_t count, const float* scale, const float* zero,
                  int64_t step, float lowest, float highest) {
  for (int64_t i = 0; i < count; ++i) {
    const float z = zero[i * step];
    float v = x[i] / scale[i * step];
    v = v > lowest - z ? v : lowest - z;
    v = v < highest - z ? v : highest - z;
    q[i] = static_cast<Q>(static_cast<int32_t>(round_small(v) + z));
  }
}

template <typename Q>
void quantize(const Tensor& reals, Tensor& codes, DType dtype, const Grid& grid,
              const Parameters& parameters, ThreadPool& pool) {
  const float* x = reals.data<float>().data();
  Q* q = codes.data<Q>().data();
  const float lowest = static_cast<float>(lowest_of(dtype));
  const float highest = static_cast<float>(highest_of(dtype));
  each_run(grid, parameters, pool,
           [&](int64_t first, int64_t count, const float* scale, const float* zero, int64_t step) {
             quantize_run(x + first, q + first, count, scale, zero, step, lowest, highest);
           });
}

/// The type of the codes: that of the zero point, else the attribute, else u8.
DType code_dtype(const Node& node, DType zero_point) {
  if (zero_point != DType::undefined) return zero_point;
  const int64_t code = node.attributes.integer("output_dtype", 0);
  return code == 0 ? DType::u8 : dtype_of_onnx(code);
}

void require_codes(DType dtype) {
  if (is_integer(dtype) && bits_of(dtype) <= 16) return;
  fail(ErrorCode::unsupported, "codes of element type {} are not supported", name_of(dtype));
}

void eval_quantize(EvalContext& context) {
  const DType dtype =
      code_dtype(context.node, context.has(2) ? context.input(2).dtype() : DType::undefined);
  require_codes(dtype);
  const Grid grid = grid_of(context.node, context.input(0).shape(), context.input(1).shape());
  const Parameters parameters(context);
  const Tensor reals = convert(context.input(0), DType::f32);
  if (bits_of(dtype) >= 8) {
    Tensor& out = context.output(0, dtype, reals.shape());
    with_type(dtype, [&](auto zero) {
      using Q = decltype(zero);
      if constexpr (std::is_integral_v<Q> && sizeof(Q) <= 2) {
        quantize<Q>(reals, out, dtype, grid, parameters, context.pool);
      }
    });
    return;
  }
  Tensor wide(DType::i32, reals.shape());
  quantize<int32_t>(reals, wide, dtype, grid, parameters, context.pool);
  context.set_output(0, pack_integers(dtype, reals.shape(), wide.data<int32_t>()));
}

/// The type of the reals: the attribute output_dtype (opset 23), else that of the scale.
DType real_dtype(const Node& node, DType scale) {
  const int64_t code = node.attributes.integer("output_dtype", 0);
  return code == 0 ? scale : dtype_of_onnx(code);
}

template <typename Q>
void dequantize(const Tensor& codes, Tensor& reals, const Grid& grid, const Parameters& parameters,
                ThreadPool& pool) {
  const Q* q = codes.data<Q>().data();
  float* x = reals.data<float>().data();
  each_run(grid, parameters, pool,
           [&](int64_t first, int64_t count, const float* scale, const float* zero, int64_t step) {
             for (int64_t i = 0; i < count; ++i) {
               x[first + i] = (static_cast<float>(q[first + i]) - zero[i * step]) * scale[i * step];
             }
           });
}

void eval_dequantize(EvalContext& context) {
  Tensor codes = context.input(0);
  if (!is_integer(codes.dtype())) {
    fail(ErrorCode::unsupported, "codes of element type {} are not supported",
         name_of(codes.dtype()));
  }
  const Grid grid = grid_of(context.node, codes.shape(), context.input(1).shape());
  const Parameters parameters(context);
  if (bits_of(codes.dtype()) < 8) {
    codes = Tensor::of<int32_t>(codes.shape(), unpack_integers(codes));
  }
  const DType dtype = real_dtype(context.node, context.input(1).dtype());
  Tensor converted;
  Tensor* reals = dtype == DType::f32 ? &context.output(0, dtype, codes.shape())
                                      : &(converted = Tensor(DType::f32, codes.shape()));
  with_type(codes.dtype(), [&](auto zero) {
    using Q = decltype(zero);
    if constexpr (std::is_integral_v<Q> && sizeof(Q) <= 4 && !std::is_same_v<Q, bool>) {
      dequantize<Q>(codes, *reals, grid, parameters, context.pool);
    } else {
      fail(ErrorCode::unsupported, "codes of element type {} are not supported",
           name_of(codes.dtype()));
    }
  });
  if (dtype != DType::f32) context.set_output(0, convert(converted, dtype));
}

void eval_dynamic(EvalContext& context) {
  const Tensor& in = context.input(0);
  const std::span<const float> x = in.data<float>();
  const RunTimeGrid grid = dynamic_grid(x, context.pool);
  const float scale = grid.scale;
  const auto zero = static_cast<float>(grid.zero_point);
  context.output(1, DType::f32, {}).data<float>()[0] = scale;
  context.output(2, DType::u8, {}).data<uint8_t>()[0] = static_cast<uint8_t>(zero);
  uint8_t* q = context.output(0, DType::u8, in.shape()).data<uint8_t>().data();
  context.pool.parallel_ranges(in.elements(), kCheapGrain, [&](int64_t begin, int64_t end) {
    quantize_run(x.data() + begin, q + begin, end - begin, &scale, &zero, 0, 0, 255);
  });
}

void check_grid(const NodeTypes& types) {
  if (types.shape(0).is_static() && types.shape(1).is_static()) {
    grid_of(types.node, types.shape(0), types.shape(1));
  }
}

std::vector<TensorType> infer_quantize(const NodeTypes& types) {
  check_grid(types);
  const DType dtype =
      code_dtype(types.node, types.has(2) ? types.input(2).dtype : DType::undefined);
  require_codes(dtype);
  return one_output(dtype, types.shape(0));
}

std::vector<TensorType> infer_dequantize(const NodeTypes& types) {
  check_grid(types);
  return one_output(real_dtype(types.node, types.input(1).dtype), types.shape(0));
}

std::vector<TensorType> infer_dynamic(const NodeTypes& types) {
  return {typed(DType::u8, types.shape(0)), typed(DType::f32, {}), typed(DType::u8, {})};
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 3,
          .infer = infer,
          .eval = eval,
          .kernels = "eval is one vectorized pass",
          .why_float = "becomes part of a value's type when a model is read"};
}

constexpr OpRow dynamic_row() {
  OpRow result = row("DynamicQuantizeLinear", infer_dynamic, eval_dynamic);
  result.min_inputs = result.max_inputs = 1;
  result.min_outputs = result.max_outputs = 3;
  result.why_float = "its parameters are known only at run time";
  return result;
}

constexpr std::array kRows = {
    row("QuantizeLinear", infer_quantize, eval_quantize),
    row("DequantizeLinear", infer_dequantize, eval_dequantize),
    dynamic_row(),
};

}  // namespace

std::span<const OpRow> quantize_linear_ops() { return kRows; }

}  // namespace nibble
