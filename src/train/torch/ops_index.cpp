// Operators that select elements by index.
#include <array>

#include "base/check.h"
#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;
using Extents = std::vector<int64_t>;

// Indices counted from the front.
Tensor from_front(const Tensor& index, int64_t extent) {
  const Tensor wide = index.to(torch::kLong);
  return torch::where(wide < 0, wide + extent, wide);
}

Outputs gather(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", 0);
  const Tensor index = from_front(call.in(1).to(x.device()), x.size(axis));
  Extents shape = x.sizes().slice(0, static_cast<size_t>(axis)).vec();
  for (int64_t extent : index.sizes()) shape.push_back(extent);
  for (int64_t i = axis + 1; i < x.dim(); ++i) shape.push_back(x.size(i));
  return {x.index_select(axis, index.flatten()).reshape(shape)};
}

Outputs gather_elements(const Call& call) {
  const int64_t axis = call.axis("axis", 0);
  return {call.in(0).gather(axis, from_front(call.in(1), call.in(0).size(axis)))};
}

Outputs scatter_elements(const Call& call) {
  const int64_t axis = call.axis("axis", 0);
  const Tensor index = from_front(call.in(1), call.in(0).size(axis));
  const std::string reduction = call.node.attributes.text("reduction", "none");
  if (reduction == "none") return {call.in(0).scatter(axis, index, call.in(2))};
  if (reduction == "add") return {call.in(0).scatter_add(axis, index, call.in(2))};
  fail(ErrorCode::unsupported, "training scatters by replacing or adding, not by '{}'", reduction);
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
    if (step < 1) fail(ErrorCode::unsupported, "training has no Slice with a step of {}", step);
    x = x.slice(axes[i], starts[i], ends[i], step);
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
