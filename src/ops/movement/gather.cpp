// Gather, GatherElements, GatherND, Compress: elements picked by index.
#include <algorithm>
#include <array>
#include <cstring>

#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/indices.h"

namespace nibble {
namespace {

const std::byte* bytes_of(const Tensor& tensor) {
  return static_cast<const std::byte*>(tensor.raw());
}
std::byte* bytes_of(Tensor& tensor) { return static_cast<std::byte*>(tensor.raw()); }

// ---- Gather

Shape gathered(const Shape& data, const Shape& indices, int axis) {
  Shape result;
  for (int i = 0; i < axis; ++i) result.push_back(data[i]);
  for (int64_t dim : indices) result.push_back(dim);
  for (int i = axis + 1; i < data.rank(); ++i) result.push_back(data[i]);
  return result;
}

std::vector<TensorType> infer_gather(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    const int axis =
        normalize_axis(types.node.attributes.integer("axis", 0), types.shape(0).rank());
    type.shape = gathered(types.shape(0), types.shape(1), axis);
  }
  return {type};
}

void eval_gather(EvalContext& context) {
  const Tensor& data = context.input(0);
  if (is_packed(data.dtype())) return eval_as_bytes(context, eval_gather);
  const Shape& shape = data.shape();
  const int axis = normalize_axis(context.node.attributes.integer("axis", 0), shape.rank());
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  const auto count = static_cast<int64_t>(indices.size());
  Tensor& out = context.output(0, data.dtype(), gathered(shape, context.input(1).shape(), axis));
  const size_t run =
      element_bytes(data.dtype()) * static_cast<size_t>(shape.elements(axis + 1, shape.rank()));
  const std::byte* from = bytes_of(data);
  std::byte* to = bytes_of(out);
  const int64_t extent = shape[axis];
  for (int64_t outer = 0; outer < shape.elements(0, axis); ++outer) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = normalize_index(indices[static_cast<size_t>(i)], extent);
      std::memcpy(to + static_cast<size_t>(outer * count + i) * run,
                  from + static_cast<size_t>(outer * extent + at) * run, run);
    }
  }
}

// ---- GatherElements

std::vector<TensorType> infer_gather_elements(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = types.shape(1)}};
}

void eval_gather_elements(EvalContext& context) {
  const Tensor& data = context.input(0);
  if (is_packed(data.dtype())) return eval_as_bytes(context, eval_gather_elements);
  const Shape &shape = data.shape(), &out_shape = context.input(1).shape();
  const int axis = normalize_axis(context.node.attributes.integer("axis", 0), shape.rank());
  bool fits = out_shape.rank() == shape.rank();
  for (int a = 0; fits && a < shape.rank(); ++a) fits = a == axis || out_shape[a] <= shape[a];
  if (!fits) {
    fail(ErrorCode::invalid_data, "indices {} do not fit the data {}", out_shape.to_string(),
         shape.to_string());
  }
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  Tensor& out = context.output(0, data.dtype(), out_shape);
  const size_t size = element_bytes(data.dtype());
  for (int64_t i = 0; i < out.elements(); ++i) {
    int64_t rest = i, offset = 0, step = 1;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      int64_t at = rest % out_shape[a];
      rest /= out_shape[a];
      if (a == axis) at = normalize_index(indices[static_cast<size_t>(i)], shape[a]);
      offset += at * step;
      step *= shape[a];
    }
    std::memcpy(bytes_of(out) + static_cast<size_t>(i) * size,
                bytes_of(data) + static_cast<size_t>(offset) * size, size);
  }
}

// ---- GatherND

Shape gathered_nd(const Node& node, const Shape& data, const Shape& indices) {
  const int64_t batch_dims = node.attributes.integer("batch_dims", 0);
  const int64_t depth = indices.rank() > 0 ? indices[indices.rank() - 1] : 0;
  if (depth < 0) return Shape::unknown_rank();
  bool fits = batch_dims >= 0 && indices.rank() > batch_dims && depth <= data.rank() - batch_dims;
  const int batch = fits ? static_cast<int>(batch_dims) : 0;
  for (int i = 0; i < batch; ++i) {
    fits = fits && (data[i] == indices[i] || data[i] < 0 || indices[i] < 0);
  }
  if (!fits) {
    fail(ErrorCode::invalid_model, "indices {} of depth {} do not fit the data {}",
         indices.to_string(), depth, data.to_string());
  }
  Shape result;
  for (int i = 0; i + 1 < indices.rank(); ++i) result.push_back(indices[i]);
  for (int i = batch + static_cast<int>(depth); i < data.rank(); ++i) result.push_back(data[i]);
  return result;
}

std::vector<TensorType> infer_gather_nd(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    type.shape = gathered_nd(types.node, types.shape(0), types.shape(1));
  }
  return {type};
}

void eval_gather_nd(EvalContext& context) {
  const Tensor& data = context.input(0);
  if (is_packed(data.dtype())) return eval_as_bytes(context, eval_gather_nd);
  const Shape &shape = data.shape(), &tuples = context.input(1).shape();
  const auto batch = static_cast<int>(context.node.attributes.integer("batch_dims", 0));
  Tensor& out = context.output(0, data.dtype(), gathered_nd(context.node, shape, tuples));
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  const auto depth = static_cast<int>(tuples[tuples.rank() - 1]);
  const int64_t batches = shape.elements(0, batch);
  const int64_t rows = tuples.elements(batch, tuples.rank() - 1);
  const int64_t per_batch = shape.elements(batch, shape.rank());
  const int64_t inner = shape.elements(batch + depth, shape.rank());
  const size_t size = element_bytes(data.dtype());
  const size_t run = size * static_cast<size_t>(inner);
  for (int64_t b = 0; b < batches; ++b) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = b * rows + row;
      const int64_t offset =
          b * per_batch + inner * tuple_offset(indices.data() + at * depth, depth, shape, batch);
      std::memcpy(bytes_of(out) + static_cast<size_t>(at) * run,
                  bytes_of(data) + static_cast<size_t>(offset) * size, run);
    }
  }
}

// ---- Compress

// How many entries the condition selects, if it is known.
int64_t selected(const NodeTypes& types) {
  if (types.constant(1) == nullptr) return Shape::kUnknown;
  return std::ranges::count(convert(*types.constant(1), DType::boolean).data<bool>(), true);
}

std::vector<TensorType> infer_compress(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype, .shape = {selected(types)}};
  if (!types.node.attributes.has("axis")) return {type};
  type.shape = types.shape(0);
  if (type.shape.has_rank()) {
    type.shape[normalize_axis(types.node.attributes.integer("axis", 0), type.shape.rank())] =
        selected(types);
  }
  return {type};
}

void eval_compress(EvalContext& context) {
  Tensor data = context.input(0);
  if (is_packed(data.dtype())) return eval_as_bytes(context, eval_compress);
  int axis = 0;
  if (context.node.attributes.has("axis")) {
    axis = normalize_axis(context.node.attributes.integer("axis", 0), data.shape().rank());
  } else {
    data = data.reshaped({data.elements()});
  }
  const Shape& shape = data.shape();
  std::vector<int64_t> kept;
  const std::span<const bool> condition = context.input(1).data<bool>();
  for (size_t i = 0; i < condition.size() && static_cast<int64_t>(i) < shape[axis]; ++i) {
    if (condition[i]) kept.push_back(static_cast<int64_t>(i));
  }
  Shape result = shape;
  result[axis] = static_cast<int64_t>(kept.size());
  Tensor& out = context.output(0, data.dtype(), result);
  const size_t run =
      element_bytes(data.dtype()) * static_cast<size_t>(shape.elements(axis + 1, shape.rank()));
  std::byte* to = bytes_of(out);
  for (int64_t outer = 0; outer < shape.elements(0, axis); ++outer) {
    for (int64_t at : kept) {
      std::memcpy(to, bytes_of(data) + static_cast<size_t>(outer * shape[axis] + at) * run, run);
      to += run;
    }
  }
}

// A table: each entry along the axis is an output channel of its own.
WeightAxes table_axes(const Node& node, const Shape& table) {
  const int axis = normalize_axis(node.attributes.integer("axis", 0), table.rank());
  return {.output = axis, .reduction = axis + 1 < table.rank() ? axis + 1 : axis - 1};
}

constexpr std::array kGatherKernels = {
    KernelRow{.name = "rows of a packed table",
              .reads = {Reads::weight, Reads::real},
              .gives = Gives::real,
              .make = packed_gather},
    kEvalOnCodes,
};

constexpr OpRow gather_row() {
  OpRow row = {.name = "Gather",
               .min_inputs = 2,
               .max_inputs = 2,
               .infer = infer_gather,
               .eval = eval_gather,
               .kernels = kGatherKernels,
               .quant = QuantRole::same_codes,
               .gradient = Gradient::autograd,
               .tolerance = 0};
  row.weights = {.axes = table_axes, .data = 1, .weight = 0, .matrix = true, .stored = true};
  return row;
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval,
                    Gradient gradient) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer,
          .eval = eval,
          .kernels = kMovedByEval,
          .quant = QuantRole::same_codes,
          .gradient = gradient,
          .tolerance = 0};
}

constexpr std::array kRows = {
    gather_row(),
    row("GatherElements", infer_gather_elements, eval_gather_elements, Gradient::autograd),
    row("GatherND", infer_gather_nd, eval_gather_nd, Gradient::none),
    row("Compress", infer_compress, eval_compress, Gradient::none),
};

}  // namespace

std::span<const OpRow> gather_ops() { return kRows; }

}  // namespace nibble
