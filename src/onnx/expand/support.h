// What several families of expansions make: forms that depend on the opset, pairs of scale and zero
// point, fused activations.
#pragma once

#include "onnx/expand/expansion.h"

namespace nibble {

/// Where a node has codes, their scale and their zero point (which may be left out).
struct CodeInputs {
  size_t codes, scale, zero_point;
};
/// DequantizeLinear of those; `axis`: where there is more than one scale.
ValueId dequantized(Expansion& e, const CodeInputs& at, std::optional<int64_t> axis = {});
/// Output 0 becomes QuantizeLinear of `real`. Where the zero point is left out, codes are of type
/// `otherwise` (u8 if that is undefined) and zero is code 0.
void give_quantized(Expansion& e, ValueId real, ValueId scale, ValueId zero_point,
                    DType otherwise = DType::undefined);

ValueId cast(Expansion& e, ValueId value, DType dtype);
ValueId transposed(Expansion& e, ValueId value, std::vector<int64_t> permutation);
/// Exchanges the last two axes; the rank must be known.
ValueId transposed_matrix(Expansion& e, ValueId value);
ValueId unsqueezed(Expansion& e, ValueId value, std::vector<int64_t> axes);
/// ReduceMean, ReduceSum, ...
ValueId reduced(Expansion& e, std::string_view op, ValueId value, std::vector<int64_t> axes,
                bool keep = true);
/// [from, to) along the axis.
ValueId sliced(Expansion& e, ValueId value, int64_t axis, ValueId from, ValueId to);
/// `value`'s extent along `axis`, as i64[1].
ValueId extent(Expansion& e, ValueId value, int64_t axis);
/// Parts of these extents along the axis.
std::vector<ValueId> split(Expansion& e, ValueId value, int64_t axis, std::vector<int64_t> extents);
/// `shape` as Reshape reads it: 0 keeps an extent, -1 is what is left.
ValueId reshaped(Expansion& e, ValueId value, std::vector<int64_t> shape);
/// a + b + ...; absent values are left out.
ValueId sum(Expansion& e, std::initializer_list<ValueId> values);

/// The attributes `activation`, `activation_params` (or activation_alpha, ...) of a fused node.
ValueId activated(Expansion& e, ValueId value);
/// From [N,spatial...,C] to [N,C,spatial...], and back; `rank` is that of both.
ValueId channels_first(Expansion& e, ValueId value, int rank);
ValueId channels_last(Expansion& e, ValueId value, int rank);

}  // namespace nibble
