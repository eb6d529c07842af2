// Reductions, and what runs along an axis.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;
using Axes = std::vector<int64_t>;

/// Reduces by `reduce(x, axes, keepdims)`; the axes are an attribute or, in newer opsets, input 1.
template <Tensor reduce(const Tensor&, const Axes&, bool)>
Outputs reduced(const Call& call) {
  const Tensor& x = call.in(0);
  Axes axes = call.attribute_or_input("axes", 1);
  if (axes.empty()) {
    if (call.node.attributes.integer("noop_with_empty_axes", 0) != 0) return {x};
    for (int64_t axis = 0; axis < x.dim(); ++axis) axes.push_back(axis);
  }
  for (int64_t& axis : axes) axis = axis < 0 ? axis + x.dim() : axis;
  return {reduce(x, axes, call.node.attributes.integer("keepdims", 1) != 0)};
}

Tensor sum(const Tensor& x, const Axes& axes, bool keep) { return x.sum(axes, keep); }
Tensor mean(const Tensor& x, const Axes& axes, bool keep) { return x.mean(axes, keep); }
Tensor maximum(const Tensor& x, const Axes& axes, bool keep) { return x.amax(axes, keep); }
Tensor minimum(const Tensor& x, const Axes& axes, bool keep) { return x.amin(axes, keep); }
Tensor l1(const Tensor& x, const Axes& axes, bool keep) { return x.abs().sum(axes, keep); }
Tensor squares(const Tensor& x, const Axes& axes, bool keep) { return x.square().sum(axes, keep); }
Tensor l2(const Tensor& x, const Axes& axes, bool keep) { return squares(x, axes, keep).sqrt(); }
Tensor log_sum(const Tensor& x, const Axes& axes, bool keep) { return x.sum(axes, keep).log(); }
Tensor log_sum_exp(const Tensor& x, const Axes& axes, bool keep) { return x.logsumexp(axes, keep); }
Tensor product(const Tensor& x, const Axes& axes, bool keep) {
  Axes last_first = axes;
  std::ranges::sort(last_first, std::greater());
  Tensor result = x;
  for (int64_t axis : last_first) result = result.prod(axis, keep);
  return result;
}

Outputs cum_sum(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t given = call.integers(1).at(0);
  const int64_t axis = given < 0 ? given + x.dim() : given;
  const bool backwards = call.node.attributes.integer("reverse", 0) != 0;
  const Tensor in = backwards ? x.flip({axis}) : x;
  Tensor sums = in.cumsum(axis).to(x.scalar_type());
  if (call.node.attributes.integer("exclusive", 0) != 0) sums = sums - in;
  return {backwards ? sums.flip({axis}) : sums};
}

// Equal values in the order of their indices.
Outputs top_k(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", -1);
  const bool attribute = call.node.attributes.has("k");  // before opset 10
  const int64_t count =
      attribute ? call.node.attributes.required_integer("k") : call.integers(1).at(0);
  const bool largest = call.node.attributes.integer("largest", 1) != 0;
  auto [values, indices] = x.sort(/*stable=*/true, axis, largest);
  return {values.narrow(axis, 0, count), indices.narrow(axis, 0, count)};
}

constexpr std::array kRows = {
    TorchOpRow{"CumSum", cum_sum},
    TorchOpRow{"ReduceL1", reduced<l1>},
    TorchOpRow{"ReduceL2", reduced<l2>, kSingular},
    TorchOpRow{"ReduceLogSum", reduced<log_sum>},
    TorchOpRow{"ReduceLogSumExp", reduced<log_sum_exp>},
    TorchOpRow{"ReduceMax", reduced<maximum>},
    TorchOpRow{"ReduceMean", reduced<mean>},
    TorchOpRow{"ReduceMin", reduced<minimum>},
    TorchOpRow{"ReduceProd", reduced<product>},
    TorchOpRow{"ReduceSum", reduced<sum>},
    TorchOpRow{"ReduceSumSquare", reduced<squares>},
    TorchOpRow{"TopK", top_k},
};

}  // namespace

std::span<const TorchOpRow> torch_reduce_ops() { return kRows; }

}  // namespace nibble
