// ScatterElements, Scatter, ScatterND, TensorScatter: a copy of the data with some elements
// replaced or reduced.
#include <algorithm>
#include <array>
#include <cstring>

#include "ops/families.h"
#include "ops/support/float_eval.h"
#include "ops/support/indices.h"

namespace nibble {
namespace {

enum class Reduction : uint8_t { none, add, mul, max, min };

Reduction reduction_of(const Node& node) {
  const std::string name = node.attributes.text("reduction", "none");
  if (name == "none") return Reduction::none;
  if (name == "add") return Reduction::add;
  if (name == "mul") return Reduction::mul;
  if (name == "max") return Reduction::max;
  if (name == "min") return Reduction::min;
  fail(ErrorCode::invalid_model, "attribute reduction is '{}'", name);
}

template <typename T>
T reduce(Reduction reduction, T old, T update) {
  if constexpr (std::is_same_v<T, Half>) {
    return to_half(reduce(reduction, to_float(old), to_float(update)));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return to_bfloat16(reduce(reduction, to_float(old), to_float(update)));
  } else {
    switch (reduction) {
      case Reduction::none:
        return update;
      case Reduction::add:
        return static_cast<T>(old + update);
      case Reduction::mul:
        return static_cast<T>(old * update);
      case Reduction::max:
        return std::max(old, update);
      case Reduction::min:
        return std::min(old, update);
    }
    return update;
  }
}

// Writes runs of `run` elements: run i of the updates to element offset `place(i)`.
template <typename Place>
void scatter(EvalContext& context, int64_t runs, int64_t run, const Place& place) {
  context.set_output(0, context.input(0));
  const Tensor& updates = context.input(2);
  Tensor& out = context.output(0, context.input(0).dtype(), context.input(0).shape());
  const Reduction reduction = reduction_of(context.node);
  with_type(out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* to = out.data<T>().data();
    const T* from = updates.data<T>().data();
    for (int64_t i = 0; i < runs; ++i) {
      T* target = to + place(i);
      for (int64_t j = 0; j < run; ++j) {
        target[j] = reduce(reduction, target[j], from[i * run + j]);
      }
    }
  });
}

void eval_elements(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_elements);
  const Shape &shape = context.input(0).shape(), &where = context.input(1).shape();
  if (where.rank() != shape.rank() || !(context.input(2).shape() == where)) {
    fail(ErrorCode::invalid_data, "indices {} and updates {} do not fit the data {}",
         where.to_string(), context.input(2).shape().to_string(), shape.to_string());
  }
  const int axis = normalize_axis(context.node.attributes.integer("axis", 0), shape.rank());
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  scatter(context, where.elements(), 1, [&](int64_t i) {
    int64_t rest = i, offset = 0, step = 1;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      int64_t at = rest % where[a];
      rest /= where[a];
      if (a == axis) at = indices[static_cast<size_t>(i)];
      offset += normalize_index(at, shape[a]) * step;
      step *= shape[a];
    }
    return offset;
  });
}

void eval_nd(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_nd);
  const Shape &shape = context.input(0).shape(), &tuples = context.input(1).shape();
  const auto depth = tuples.rank() > 0 ? static_cast<int>(tuples[tuples.rank() - 1]) : -1;
  if (depth < 0 || depth > shape.rank()) {
    fail(ErrorCode::invalid_data, "indices {} do not fit the data {}", tuples.to_string(),
         shape.to_string());
  }
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  const int64_t runs = tuples.elements(0, tuples.rank() - 1);
  const int64_t run = shape.elements(depth, shape.rank());
  if (context.input(2).elements() != runs * run) {
    fail(ErrorCode::invalid_data, "updates {} do not fit indices {} into the data {}",
         context.input(2).shape().to_string(), tuples.to_string(), shape.to_string());
  }
  scatter(context, runs, run, [&](int64_t i) {
    return run * tuple_offset(indices.data() + i * depth, depth, shape, 0);
  });
}

// A key/value cache: each batch writes its update at its own position along the axis.
void eval_tensor_scatter(EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  const Shape updates = context.input(1).shape();
  const int axis = normalize_axis(context.node.attributes.integer("axis", -2), shape.rank());
  Shape expected = shape;
  if (updates.rank() == shape.rank()) expected[axis] = updates[axis];
  if (axis == 0 || !(updates == expected) || updates[axis] > shape[axis] ||
      context.input(1).dtype() != context.input(0).dtype()) {
    fail(ErrorCode::invalid_data, "the update {}{} does not fit the cache {}{} along axis {}",
         name_of(context.input(1).dtype()), updates.to_string(), name_of(context.input(0).dtype()),
         shape.to_string(), axis);
  }
  const bool circular = context.node.attributes.text("mode", "linear") == "circular";
  std::vector<int64_t> positions(static_cast<size_t>(shape[0]), 0);
  if (context.has(2)) positions = to_int64s(context.input(2));
  for (int64_t position : positions) {
    if (position < 0 || position > shape[axis]) {
      fail(ErrorCode::invalid_data, "the write index {} is not in [0, {}]", position, shape[axis]);
    }
  }
  if (static_cast<int64_t>(positions.size()) != shape[0]) {
    fail(ErrorCode::invalid_data, "{} write indices for a batch of {}", positions.size(), shape[0]);
  }
  context.set_output(0, context.input(0));
  Tensor& out = context.output(0, context.input(0).dtype(), shape);
  const size_t run =
      element_bytes(out.dtype()) * static_cast<size_t>(shape.elements(axis + 1, shape.rank()));
  const int64_t middle = shape.elements(1, axis);
  const auto* from = static_cast<const std::byte*>(context.input(1).raw());
  auto* to = static_cast<std::byte*>(out.raw());
  for (int64_t b = 0; b < shape[0]; ++b) {
    for (int64_t m = 0; m < middle; ++m) {
      for (int64_t i = 0; i < updates[axis]; ++i, from += run) {
        int64_t at = positions[static_cast<size_t>(b)] + i;
        if (circular) at %= shape[axis];
        at = normalize_index(at, shape[axis]);
        std::memcpy(to + static_cast<size_t>((b * middle + m) * shape[axis] + at) * run, from, run);
      }
    }
  }
}

std::vector<TensorType> infer(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = types.shape(0)}};
}

constexpr OpRow row(std::string_view name, int min_inputs, EvalSignature* eval, Gradient gradient) {
  return {.name = name,
          .min_inputs = min_inputs,
          .max_inputs = 3,
          .infer = infer,
          .eval = eval,
          .kernels = "the indices decide: nothing to prepare",
          .why_float = "two sources of codes with their own parameters: evaluated in float",
          .gradient = gradient,
          .tolerance = 0};
}

constexpr std::array kRows = {
    row("Scatter", 3, eval_elements, Gradient::autograd),
    row("ScatterElements", 3, eval_elements, Gradient::autograd),
    row("ScatterND", 3, eval_nd, Gradient::none),
    row("TensorScatter", 2, eval_tensor_scatter, Gradient::none),
};

}  // namespace

std::span<const OpRow> scatter_ops() { return kRows; }

}  // namespace nibble
