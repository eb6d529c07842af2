// Concat and Split: runs of bytes that are joined or parted along one axis.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"

namespace nibble {
namespace {

constexpr int64_t kGrainBytes = 65536;

// Rows of `whole` bytes of one tensor against rows of `part` bytes of another, at `offset`.
void copy_rows(int64_t rows, const std::byte* from, int64_t from_step, std::byte* to,
               int64_t to_step, int64_t bytes, ThreadPool& pool) {
  if (bytes == 0) return;
  pool.parallel_ranges(
      rows, std::max<int64_t>(1, kGrainBytes / bytes), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          std::memcpy(to + i * to_step, from + i * from_step, static_cast<size_t>(bytes));
        }
      });
}

int64_t product(const Shape& shape, int begin, int end) { return shape.elements(begin, end); }

// ---- Concat

// The joined shape; the extent along `axis` is unknown if that of an operand is.
Shape joined(std::span<const Shape> shapes, int axis) {
  Shape result = shapes.front();
  for (const Shape& shape : shapes.subspan(1)) {
    if (shape.rank() != result.rank()) {
      fail(ErrorCode::invalid_model, "cannot join {} and {}", result.to_string(),
           shape.to_string());
    }
    for (int i = 0; i < result.rank(); ++i) {
      if (i == axis) {
        result[i] = result[i] < 0 || shape[i] < 0 ? Shape::kUnknown : result[i] + shape[i];
      } else if (result[i] < 0) {
        result[i] = shape[i];
      } else if (shape[i] >= 0 && shape[i] != result[i]) {
        fail(ErrorCode::invalid_model, "cannot join {} and {} along axis {}", result.to_string(),
             shape.to_string(), axis);
      }
    }
  }
  return result;
}

std::vector<TensorType> infer_concat(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  std::vector<Shape> shapes;
  for (size_t i = 0; i < types.input_count(); ++i) shapes.push_back(types.shape(i));
  if (std::ranges::all_of(shapes, [](const Shape& shape) { return shape.has_rank(); })) {
    const int64_t axis = types.node.attributes.integer("axis", 1);  // optional before opset 4
    type.shape = joined(shapes, normalize_axis(axis, shapes[0].rank()));
  }
  return {type};
}

struct Concat {
  static constexpr std::string_view kName = "concat";
  int axis = 0;
  Shape output;

  void operator()(EvalContext& context) const {
    const DType dtype = context.input(0).dtype();
    Tensor& out = context.output(0, dtype, output);
    const auto size = static_cast<int64_t>(element_bytes(dtype));
    const int64_t rows = product(output, 0, axis);
    const int64_t row_bytes = product(output, axis, output.rank()) * size;
    auto* to = static_cast<std::byte*>(out.raw());
    for (size_t i = 0; i < context.input_count(); ++i) {
      const Tensor& in = context.input(i);
      const int64_t bytes = product(in.shape(), axis, in.shape().rank()) * size;
      copy_rows(rows, static_cast<const std::byte*>(in.raw()), bytes, to, row_bytes, bytes,
                context.pool);
      to += bytes;
    }
  }
};

void eval_concat(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_concat);
  std::vector<Shape> shapes;
  for (size_t i = 0; i < context.input_count(); ++i) shapes.push_back(context.input(i).shape());
  const int axis =
      normalize_axis(context.node.attributes.integer("axis", 1), shapes.front().rank());
  Concat{axis, joined(shapes, axis)}(context);
}

std::unique_ptr<Kernel> prepare_concat(const KernelSpec& spec) {
  const Shape& output = spec.outputs[0].shape;
  if (!output.is_static() || is_packed(spec.types.input(0).dtype)) return nullptr;
  for (size_t i = 0; i < spec.types.input_count(); ++i) {
    if (!spec.types.shape(i).is_static()) return nullptr;
  }
  const int64_t axis = spec.types.node.attributes.integer("axis", 1);
  return make_prepared(Concat{normalize_axis(axis, output.rank()), output});
}

// ---- Split

// The extents of the parts: from `split` if it is given, else as equal as possible, the last one
// smaller.
std::vector<int64_t> part_extents(int64_t extent, size_t parts, std::span<const int64_t> split) {
  std::vector<int64_t> result(split.begin(), split.end());
  if (result.empty()) {
    const auto count = static_cast<int64_t>(parts);
    const int64_t each = extent < 0 ? extent : (extent + count - 1) / count;
    for (int64_t i = 0; i < count; ++i) {
      result.push_back(extent < 0 ? extent : std::clamp<int64_t>(extent - i * each, 0, each));
    }
  }
  int64_t sum = 0;
  for (int64_t part : result) sum += part;
  if (result.size() != parts || (extent >= 0 && sum != extent)) {
    fail(ErrorCode::invalid_model, "an extent of {} cannot be split into {} parts of {} in all",
         extent, parts, sum);
  }
  return result;
}

std::vector<TensorType> infer_split(const NodeTypes& types) {
  const size_t parts = types.node.outputs.size();
  std::vector<TensorType> outputs(parts, {.dtype = types.input(0).dtype});
  const Shape& shape = types.shape(0);
  if (!shape.has_rank()) return outputs;
  const int axis = normalize_axis(types.node.attributes.integer("axis", 0), shape.rank());
  const KnownIntegers split = integers_of(types, 1, "split");
  std::vector<int64_t> extents(parts, Shape::kUnknown);
  if (split.known) extents = part_extents(shape[axis], parts, split.values);
  for (size_t i = 0; i < parts; ++i) {
    outputs[i].shape = shape;
    outputs[i].shape[axis] = extents[i];
  }
  return outputs;
}

struct Split {
  static constexpr std::string_view kName = "split";
  int axis = 0;
  std::vector<Shape> parts;

  void operator()(EvalContext& context) const {
    const Tensor& in = context.input(0);
    const auto size = static_cast<int64_t>(element_bytes(in.dtype()));
    const int64_t rows = product(in.shape(), 0, axis);
    const int64_t row_bytes = product(in.shape(), axis, in.shape().rank()) * size;
    const auto* from = static_cast<const std::byte*>(in.raw());
    for (size_t i = 0; i < parts.size(); ++i) {
      const int64_t bytes = product(parts[i], axis, parts[i].rank()) * size;
      if (context.wants(i)) {
        Tensor& out = context.output(i, in.dtype(), parts[i]);
        copy_rows(rows, from, row_bytes, static_cast<std::byte*>(out.raw()), bytes, bytes,
                  context.pool);
      }
      from += bytes;
    }
  }
};

void eval_split(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_split);
  const Shape& shape = context.input(0).shape();
  const int axis = normalize_axis(context.node.attributes.integer("axis", 0), shape.rank());
  const auto sizes = integers_of(context, 1, "split").value_or(std::vector<int64_t>{});
  Split split{.axis = axis};
  for (int64_t extent : part_extents(shape[axis], context.node.outputs.size(), sizes)) {
    split.parts.push_back(shape);
    split.parts.back()[axis] = extent;
  }
  split(context);
}

std::unique_ptr<Kernel> prepare_split(const KernelSpec& spec) {
  const Shape& shape = spec.types.shape(0);
  if (!shape.is_static() || is_packed(spec.types.input(0).dtype)) return nullptr;
  Split split{.axis = normalize_axis(spec.types.node.attributes.integer("axis", 0), shape.rank())};
  for (const TensorType& output : spec.outputs) {
    if (!output.shape.is_static()) return nullptr;
    split.parts.push_back(output.shape);
  }
  return make_prepared(std::move(split));
}

constexpr std::array kConcatKernels = {
    KernelRow{.name = "concat of u8 codes",
              .reads = {Reads::u8, Reads::u8, Reads::u8, Reads::u8},
              .gives = Gives::u8,
              .make = integer_concat},
    on_reals("concat", prepare_concat),
};
constexpr std::array kSplitKernels = {on_elements("split", prepare_split), kEvalOnCodes};

constexpr std::array kRows = {
    OpRow{.name = "Concat",
          .max_inputs = -1,
          .infer = infer_concat,
          .eval = eval_concat,
          .kernels = kConcatKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::concat,
          .tolerance = 0},
    OpRow{.name = "Split",
          .max_inputs = 2,
          .max_outputs = -1,
          .infer = infer_split,
          .eval = eval_split,
          .kernels = kSplitKernels,
          .quant = QuantRole::same_codes,
          .gradient = Gradient::autograd,
          .tolerance = 0},
};

}  // namespace

std::span<const OpRow> concat_ops() { return kRows; }

}  // namespace nibble
