#include "ops/matmul/matmul.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/broadcast.h"
#include "ops/support/float_eval.h"
#include "ops/support/kernel_cache.h"
#include "ops/support/weight_axes.h"

namespace nibble {
namespace {

Shape batch_axes(const Shape& shape) {
  return Shape(shape.dims().first(static_cast<size_t>(std::max(0, shape.rank() - 2))));
}

void require_same_depth(const Shape& a, const Shape& b, int64_t a_depth, int64_t b_depth) {
  if (a_depth >= 0 && b_depth >= 0 && a_depth != b_depth) {
    fail(ErrorCode::invalid_model, "cannot multiply {} by {}: the inner extents are {} and {}",
         a.to_string(), b.to_string(), a_depth, b_depth);
  }
}

int64_t depth_of_b(const Shape& b) { return b[b.rank() == 1 ? 0 : b.rank() - 2]; }

}  // namespace

Shape matmul_shape(const Shape& a, const Shape& b) {
  if (!a.has_rank() || !b.has_rank()) return Shape::unknown_rank();
  if (a.rank() == 0 || b.rank() == 0) {
    fail(ErrorCode::invalid_model, "cannot multiply {} by {}: a scalar is no matrix", a.to_string(),
         b.to_string());
  }
  require_same_depth(a, b, a[a.rank() - 1], depth_of_b(b));
  Shape shape = broadcast_shapes(batch_axes(a), batch_axes(b));
  if (a.rank() > 1) shape.push_back(a[a.rank() - 2]);
  if (b.rank() > 1) shape.push_back(b[b.rank() - 1]);
  return shape;
}

MatmulProblem matmul_problem(const Node& node, const Shape& a, const Shape& b) {
  MatmulProblem problem;
  problem.output = matmul_shape(a, b);
  problem.clamp = node.clamp;
  MatrixShape& m = problem.matrix;
  m.rows = a.rank() == 1 ? 1 : a[a.rank() - 2];
  m.depth = a[a.rank() - 1];
  m.columns = b.rank() == 1 ? 1 : b[b.rank() - 1];
  m.a_row = m.depth;
  m.b_step = m.columns;
  const Shape a_batch = batch_axes(a), b_batch = batch_axes(b);
  if (b_batch.elements() == 1) {  // all rows meet the same matrix
    m.rows *= a_batch.elements();
    problem.batch = {{}};
    return problem;
  }
  const Shape batch = broadcast_shapes(a_batch, b_batch);
  const auto loop = broadcast_loop<2>(batch, {&a_batch, &b_batch});
  loop.walk(0, loop.elements, [&](int64_t, int64_t count, const std::array<int64_t, 2>& at) {
    for (int64_t i = 0; i < count; ++i) {
      problem.batch.push_back({(at[0] + i * loop.step(0)) * m.rows * m.depth,
                               (at[1] + i * loop.step(1)) * m.depth * m.columns});
    }
  });
  return problem;
}

MatmulProblem gemm_problem(const Node& node, const Shape& a, const Shape& b, const Shape* c) {
  if (a.rank() != 2 || b.rank() != 2) {
    fail(ErrorCode::invalid_model, "cannot multiply {} by {}: both must be matrices", a.to_string(),
         b.to_string());
  }
  const bool a_turned = node.attributes.integer("transA", 0) != 0;
  const bool b_turned = node.attributes.integer("transB", 0) != 0;
  MatmulProblem problem;
  MatrixShape& m = problem.matrix;
  m.rows = a[a_turned ? 1 : 0];
  m.depth = a[a_turned ? 0 : 1];
  m.columns = b[b_turned ? 0 : 1];
  require_same_depth(a, b, m.depth, b[b_turned ? 1 : 0]);
  m.a_row = a_turned ? 1 : m.depth;
  m.a_step = a_turned ? m.rows : 1;
  m.b_step = b_turned ? 1 : m.columns;
  m.b_column = b_turned ? m.depth : 1;
  problem.batch = {{}};
  problem.alpha = node.attributes.real("alpha", 1);
  problem.beta = node.attributes.real("beta", 1);
  problem.clamp = node.clamp;
  problem.output = {m.rows, m.columns};
  if (c == nullptr || problem.beta == 0) return problem;
  problem.has_addend = true;
  const int64_t c_rows = c->rank() < 2 ? 1 : (*c)[c->rank() - 2];
  const int64_t c_columns = c->rank() < 1 ? 1 : (*c)[c->rank() - 1];
  const auto fits = [](int64_t have, int64_t want) {
    return have < 0 || want < 0 || have == 1 || have == want;
  };
  if (c->rank() > 2 || !fits(c_rows, m.rows) || !fits(c_columns, m.columns)) {
    fail(ErrorCode::invalid_model, "input C {} cannot be broadcast to the product {}",
         c->to_string(), problem.output.to_string());
  }
  problem.addend_column = c_columns == 1 ? 0 : 1;
  problem.addend_row = c_rows == 1 ? 0 : c_columns;
  return problem;
}

namespace {

std::vector<TensorType> infer_matmul(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = matmul_shape(types.shape(0), types.shape(1))}};
}

std::vector<TensorType> infer_gemm(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype, .shape = {-1, -1}};
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    const bool addend = types.has(2) && types.shape(2).has_rank();
    type.shape =
        gemm_problem(types.node, types.shape(0), types.shape(1), addend ? &types.shape(2) : nullptr)
            .output;
  }
  return {type};
}

// What oneDNN does not do: other element types, and products of nothing.
template <typename T>
void eval_plain(const MatmulProblem& problem, EvalContext& context) {
  T* out = context.output(0, dtype_of<T>(), problem.output).template data<T>().data();
  const T* a = context.input(0).data<T>().data();
  const T* b = context.input(1).data<T>().data();
  const MatrixShape& m = problem.matrix;
  for (size_t i = 0; i < problem.batch.size(); ++i) {
    reference_matmul(m, a + problem.batch[i].a, b + problem.batch[i].b,
                     out + static_cast<int64_t>(i) * m.rows * m.columns);
  }
  const int64_t elements = problem.output.elements();
  if (problem.alpha != 1) {
    for (int64_t i = 0; i < elements; ++i) out[i] = static_cast<T>(problem.alpha * out[i]);
  }
  if (problem.has_addend) {
    const T* c = context.input(2).data<T>().data();
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t at = i / m.columns * problem.addend_row + i % m.columns * problem.addend_column;
      out[i] = static_cast<T>(out[i] + static_cast<T>(problem.beta * c[at]));
    }
  }
  if (problem.clamp.any()) {
    for (int64_t i = 0; i < elements; ++i) {
      out[i] = static_cast<T>(problem.clamp(static_cast<float>(out[i])));
    }
  }
}

void eval_product(const MatmulProblem& problem, EvalContext& context) {
  switch (context.input(0).dtype()) {
    case DType::f32:
      break;
    case DType::f64:
      return eval_plain<double>(problem, context);
    case DType::i32:
      return eval_plain<int32_t>(problem, context);
    case DType::u32:
      return eval_plain<uint32_t>(problem, context);
    case DType::i64:
      return eval_plain<int64_t>(problem, context);
    case DType::u64:
      return eval_plain<uint64_t>(problem, context);
    default:
      fail(ErrorCode::unsupported, "no matrix product of {}", name_of(context.input(0).dtype()));
  }
  thread_local KernelCache<MatmulProblem> cache;
  const Kernel* kernel =
      cache.find_or_make(problem, [&] { return make_matmul_kernel(problem, nullptr, nullptr); });
  if (kernel == nullptr) return eval_plain<float>(problem, context);
  run_with_workspace(*kernel, context);
}

void eval_matmul(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_matmul);
  eval_product(matmul_problem(context.node, context.input(0).shape(), context.input(1).shape()),
               context);
}

void eval_gemm(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_gemm);
  eval_product(gemm_problem(context.node, context.input(0).shape(), context.input(1).shape(),
                            context.has(2) ? &context.input(2).shape() : nullptr),
               context);
}

bool ready(const NodeTypes& types) {
  for (size_t i = 0; i < types.input_count(); ++i) {
    if (types.has(i) && (types.input(i).dtype != DType::f32 || !types.shape(i).is_static())) {
      return false;
    }
  }
  return true;
}

std::unique_ptr<Kernel> prepare_matmul(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (!ready(types)) return nullptr;
  return make_matmul_kernel(matmul_problem(types.node, types.shape(0), types.shape(1)),
                            types.constant(1), nullptr);
}

std::unique_ptr<Kernel> prepare_gemm(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (!ready(types)) return nullptr;
  return make_matmul_kernel(gemm_problem(types.node, types.shape(0), types.shape(1),
                                         types.has(2) ? &types.shape(2) : nullptr),
                            types.constant(1), types.constant(2));
}

WeightAxes gemm_axes(const Node& node, const Shape&) {
  const bool turned = node.attributes.integer("transB", 0) != 0;
  return {.output = turned ? 0 : 1, .reduction = turned ? 1 : 0};
}

constexpr KernelRow on_codes(std::string_view name,
                             std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name,
          .reads = {Reads::u8, Reads::weight, Reads::parameter},
          .gives = Gives::u8_or_real,
          .make = make};
}

constexpr std::array kGemmKernels = {on_codes("gemm on u8 codes", integer_gemm),
                                     on_packed_weights("gemm with packed weights", packed_gemm),
                                     on_reals("gemm on f32", prepare_gemm)};
constexpr std::array kMatmulKernels = {
    on_codes("matmul on u8 codes", integer_matmul),
    KernelRow{.name = "matmul of two operands of u8 codes",
              .reads = {Reads::u8, Reads::u8},
              .gives = Gives::u8_or_real,
              .make = integer_product},
    on_packed_weights("matmul with packed weights", packed_matmul),
    on_reals("matmul on f32", prepare_matmul)};

constexpr std::array kRows = {
    OpRow{.name = "Gemm",
          .min_inputs = 2,
          .max_inputs = 3,
          .infer = infer_gemm,
          .eval = eval_gemm,
          .kernels = kGemmKernels,
          .quant = QuantRole::weighted,
          .weights = {.axes = gemm_axes, .bias = 2, .matrix = true},
          .takes_clamp = true,
          .gradient = Gradient::autograd,
          .tolerance = 1e-4},
    OpRow{.name = "MatMul",
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_matmul,
          .eval = eval_matmul,
          .kernels = kMatmulKernels,
          .quant = QuantRole::weighted,
          .weights = {.axes = matmul_axes, .matrix = true, .of_activations = true},
          .gradient = Gradient::autograd,
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> matmul_ops() { return kRows; }

}  // namespace nibble
