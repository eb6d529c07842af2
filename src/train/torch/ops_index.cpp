// Operators that select elements by index.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;
using Extents = std::vector<int64_t>;

// Indices into an axis of x, counted from the front, where x is.
Tensor from_front(const Tensor& index, const Tensor& x, int64_t axis) {
  const Tensor wide = index.to(x.device(), torch::kLong);
  const int64_t extent = x.size(axis);
  return torch::where(wide < 0, wide + extent, wide);
}

Outputs gather(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", 0);
  const Tensor index = from_front(call.in(1), x, axis);
  Extents shape = x.sizes().slice(0, static_cast<size_t>(axis)).vec();
  for (int64_t extent : index.sizes()) shape.push_back(extent);
  for (int64_t i = axis + 1; i < x.dim(); ++i) shape.push_back(x.size(i));
  return {x.index_select(axis, index.flatten()).reshape(shape)};
}

Outputs gather_elements(const Call& call) {
  const int64_t axis = call.axis("axis", 0);
  return {call.in(0).gather(axis, from_front(call.in(1), call.in(0), axis))};
}

Outputs scatter_elements(const Call& call) {
  const int64_t axis = call.axis("axis", 0);
  const Tensor index = from_front(call.in(1), call.in(0), axis);
  const std::string reduction = call.node.attributes.text("reduction", "none");
  if (reduction == "none") return {call.in(0).scatter(axis, index, call.in(2))};
  if (reduction == "add") return {call.in(0).scatter_add(axis, index, call.in(2))};
  fail(ErrorCode::unsupported, "training scatters by replacing or adding, not by '{}'", reduction);
}

// Along one axis, as ONNX counts: ends are exclusive, negative numbers from the end, and what lies
// beyond either end is the end.
Tensor slice_along(const Tensor& x, int64_t axis, int64_t start, int64_t end, int64_t step) {
  if (step > 0) return x.slice(axis, start, end, step);
  if (step == 0) fail(ErrorCode::invalid_model, "a Slice has a step of 0");
  const int64_t extent = x.size(axis);
  const auto from_the_end = [&](int64_t at) { return at < 0 ? at + extent : at; };
  const int64_t first = std::clamp<int64_t>(from_the_end(start), -1, extent - 1);
  const int64_t last = std::clamp<int64_t>(from_the_end(std::max(end, -extent - 1)), -1, extent);
  std::vector<int64_t> index;
  for (int64_t i = first; i > last; i += step) index.push_back(i);
  return x.index_select(axis, torch::tensor(index, torch::kLong).to(x.device()));
}

Outputs slice(const Call& call) {
  Tensor x = call.in(0);
  const Extents starts = call.attribute_or_input("starts", 1);
  const Extents ends = call.attribute_or_input("ends", 2);
  Extents axes = call.attribute_or_input("axes", 3);
  if (axes.empty()) {
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  const Extents steps = call.integers(4);
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t step = steps.empty() ? 1 : steps[i];
    x = slice_along(x, axes[i], starts[i], ends[i], step);
  }
  return {x};
}

Outputs trilu(const Call& call) {
  const int64_t diagonal = call.has(1) ? call.integers(1).at(0) : 0;
  const bool upper = call.node.attributes.integer("upper", 1) != 0;
  return {upper ? call.in(0).triu(diagonal) : call.in(0).tril(diagonal)};
}

constexpr std::array kRows = {
    TorchOpRow{"Gather", gather},
    TorchOpRow{"GatherElements", gather_elements},
    TorchOpRow{"Scatter", scatter_elements},
    TorchOpRow{"ScatterElements", scatter_elements},
    TorchOpRow{"Slice", slice},
    TorchOpRow{"Trilu", trilu},
};

}  // namespace

std::span<const TorchOpRow> torch_index_ops() { return kRows; }

}  // namespace nibble
