#include "ops/weight_pairs.h"

#include <cmath>

#include "ops/roles.h"

namespace nibble {

WeightPairs::WeightPairs(const WeightAxes& axes, bool is_matrix, const Shape& weight,
                         PairOrder order)
    : output_first_(axes.output < axes.reduction) {
  const int first = std::min(axes.output, axes.reduction);
  const bool transposed = !is_matrix && !output_first_;
  columns_ = weight[axes.output];
  inputs_ = weight[axes.reduction] / (transposed ? axes.groups : 1);
  positions_ = weight.elements(first + 2, weight.rank());
  rows_ = weight.elements(0, first) * columns_ * (transposed ? axes.groups : 1);
  channels_ = transposed ? rows_ : columns_;
  fold_ = order == PairOrder::flattened;
  runs_ = fold_ ? 1 : positions_;
  length_ = fold_ ? positions_ * inputs_ : inputs_;
  const bool depthwise = !is_matrix && inputs_ == 1 && channels_ == axes.groups;
  none_ = depthwise || (transposed && fold_);
}

WeightPairs::WeightPairs(const Node& node, const Shape& weight, PairOrder order)
    : WeightPairs(weight_axes(node, weight), is_matrix_product(node), weight, order) {}

bool multiplies_codes(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->quant == QuantRole::weighted &&
         std::ranges::any_of(row->kernels.rows, [](const KernelRow& kernel) {
           return kernel.read(0) == Reads::u8 && kernel.read(1) == Reads::weight;
         });
}

std::optional<float> greatest_real(const Graph& graph, ValueId value) {
  for (;;) {
    const auto producer = graph.producer(value);
    if (!producer) return std::nullopt;
    const Node& node = graph.node(*producer);
    const auto clamp = clamp_of(graph, node);
    if (clamp && std::isfinite(clamp->high)) return clamp->high;
    if (std::isfinite(node.clamp.high)) return node.clamp.high;
    const OpRow* row = find_op(node.op, node.domain);
    const bool moves = row != nullptr && row->quant == QuantRole::same_codes &&
                       (row->writes == nullptr || !row->writes(node));
    if (!moves || !node.input(0)) return std::nullopt;
    value = node.inputs[0];
  }
}

int32_t greatest_code(const QuantParams& grid, std::optional<float> greatest) {
  if (!greatest) return grid.qmax;
  const Tensor real = Tensor::of<float>({1}, {std::max(*greatest, 0.0F)});  // padding is zero
  return unpack_integers(quantize_tensor(real, grid))[0];
}

UnsafePairs count_unsafe_pairs(const WeightPairs& pairs, std::span<const int32_t> codes,
                               int32_t greatest_code) {
  UnsafePairs found;
  pairs.for_each([&](int64_t /*output*/, int64_t first, int64_t second) {
    const PairSum sum = pair_sum(codes[static_cast<size_t>(first)],
                                 second < 0 ? 0 : codes[static_cast<size_t>(second)]);
    ++found.pairs;
    found.worst = std::max({found.worst, sum.above, sum.below});
    if (!is_safe(sum, greatest_code)) ++found.unsafe;
  });
  return found;
}

}  // namespace nibble
