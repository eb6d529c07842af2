#include "onnx/expand/support.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "onnx/proto.h"

namespace nibble {
namespace {

// A constant whose codes times their scale, which was rounded, are beyond f32 (a mask of the lowest
// float): the finite numbers that they stand for. ONNX Runtime multiplies codes here, so that
// nothing becomes infinite, and zero times such a number is zero. None if there is no such code.
std::optional<Tensor> kept_finite(Expansion& e, const CodeInputs& at) {
  const Tensor* codes = e.known(e.in(at.codes));
  const Tensor* scale = e.known(e.in(at.scale));
  const Tensor* zero = e.has(at.zero_point) ? e.known(e.in(at.zero_point)) : nullptr;
  const auto is_byte = [](const Tensor& x) {
    return x.dtype() == DType::u8 || x.dtype() == DType::i8;
  };
  if (codes == nullptr || !is_byte(*codes) || scale == nullptr || scale->dtype() != DType::f32 ||
      scale->elements() != 1)
    return {};
  if (e.has(at.zero_point) && (zero == nullptr || !is_byte(*zero) || zero->elements() != 1)) {
    return {};
  }
  const int32_t zero_point = zero != nullptr ? unpack_integers(*zero)[0] : 0;
  const std::vector<int32_t> all = unpack_integers(*codes);
  Tensor reals(DType::f32, codes->shape());
  bool infinite = false;
  for (size_t i = 0; i < all.size(); ++i) {
    const float real = scale->data<float>()[0] * static_cast<float>(all[i] - zero_point);
    infinite = infinite || std::isinf(real);
    reals.data<float>()[i] =
        std::clamp(real, std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max());
  }
  return infinite ? std::optional(reals) : std::nullopt;
}

}  // namespace

ValueId dequantized(Expansion& e, const CodeInputs& at, std::optional<int64_t> axis) {
  if (const std::optional<Tensor> reals = kept_finite(e, at)) return e.constant(*reals);
  Attributes attributes;
  if (axis) attributes.set("axis", *axis);
  return e.op("DequantizeLinear", {e.in(at.codes), e.in(at.scale), e.in(at.zero_point)},
              std::move(attributes));
}

void give_quantized(Expansion& e, ValueId real, ValueId scale, ValueId zero_point,
                    DType otherwise) {
  if (!zero_point && otherwise != DType::undefined) {
    zero_point = e.constant(Tensor(otherwise, {}));
  }
  e.give(0, e.op("QuantizeLinear", {real, scale, zero_point}));
}

ValueId cast(Expansion& e, ValueId value, DType dtype) {
  if (e.type(value).dtype == dtype) return value;
  return e.op("Cast", {value}, attributes_of({{"to", int64_t{onnx_data_type(dtype)}}}));
}

ValueId transposed(Expansion& e, ValueId value, std::vector<int64_t> permutation) {
  return e.op("Transpose", {value}, attributes_of({{"perm", std::move(permutation)}}));
}

ValueId transposed_matrix(Expansion& e, ValueId value) {
  const int rank = e.rank(value);
  if (rank < 2) e.refuse("how many axes the operand that it transposes has is not known");
  std::vector<int64_t> permutation(static_cast<size_t>(rank));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[permutation.size() - 1], permutation[permutation.size() - 2]);
  return transposed(e, value, std::move(permutation));
}

ValueId unsqueezed(Expansion& e, ValueId value, std::vector<int64_t> axes) {
  if (e.opset() < 13) return e.op("Unsqueeze", {value}, attributes_of({{"axes", axes}}));
  const auto count = static_cast<int64_t>(axes.size());
  return e.op("Unsqueeze", {value, e.constant(Tensor::of<int64_t>({count}, axes))});
}

ValueId reduced(Expansion& e, std::string_view op, ValueId value, std::vector<int64_t> axes,
                bool keep) {
  Attributes attributes = attributes_of({{"keepdims", int64_t{keep}}});
  if (e.opset() < (op == "ReduceSum" ? 13 : 18)) {
    attributes.set("axes", axes);
    return e.op(op, {value}, attributes);
  }
  const auto count = static_cast<int64_t>(axes.size());
  return e.op(op, {value, e.constant(Tensor::of<int64_t>({count}, axes))}, attributes);
}

ValueId sliced(Expansion& e, ValueId value, int64_t axis, ValueId from, ValueId to) {
  if (e.opset() < 10) e.refuse("it needs opset 10");
  return e.op("Slice", {value, from, to, e.integers({axis})});
}

ValueId extent(Expansion& e, ValueId value, int64_t axis) {
  const Shape& shape = e.type(value).shape;
  if (shape.has_rank() && axis < 0) axis += shape.rank();
  if (shape.has_rank() && axis >= 0 && axis < shape.rank() && shape[static_cast<int>(axis)] >= 0) {
    return e.integers({shape[static_cast<int>(axis)]});
  }
  return e.op("Gather", {e.op("Shape", {value}), e.integers({axis})},
              attributes_of({{"axis", int64_t{0}}}));
}

std::vector<ValueId> split(Expansion& e, ValueId value, int64_t axis,
                           std::vector<int64_t> extents) {
  const auto count = static_cast<int64_t>(extents.size());
  Attributes attributes = attributes_of({{"axis", axis}});
  if (e.opset() < 13) {
    attributes.set("split", extents);
    return e.ops("Split", {value}, extents.size(), attributes);
  }
  return e.ops("Split", {value, e.constant(Tensor::of<int64_t>({count}, extents))}, extents.size(),
               attributes);
}

ValueId reshaped(Expansion& e, ValueId value, std::vector<int64_t> shape) {
  const auto count = static_cast<int64_t>(shape.size());
  return e.op("Reshape", {value, e.constant(Tensor::of<int64_t>({count}, shape))});
}

ValueId sum(Expansion& e, std::initializer_list<ValueId> values) {
  ValueId total;
  for (ValueId value : values) {
    if (value) total = total ? e.op("Add", {total, value}) : value;
  }
  return total;
}

namespace {

// Parameter `i` of the activation, under either of its names.
std::optional<float> activation_parameter(const Node& node, size_t i) {
  const std::vector<float> listed = node.attributes.reals("activation_params");
  if (i < listed.size()) return listed[i];
  const char* name = i == 0 ? "activation_alpha" : i == 1 ? "activation_beta" : "activation_gamma";
  if (!node.attributes.has(name)) return std::nullopt;
  return node.attributes.real(name, 0);
}

ValueId clipped(Expansion& e, ValueId value, std::optional<float> low, std::optional<float> high) {
  Attributes attributes;
  if (e.opset() < 11) {
    if (low) attributes.set("min", *low);
    if (high) attributes.set("max", *high);
    return e.op("Clip", {value}, attributes);
  }
  return e.op("Clip", {value, low ? e.scalar_like(value, *low) : ValueId{},
                       high ? e.scalar_like(value, *high) : ValueId{}});
}

}  // namespace

ValueId activated(Expansion& e, ValueId value) {
  const std::string name = e.node.attributes.text("activation", "");
  if (name.empty()) return value;
  const auto alpha = activation_parameter(e.node, 0), beta = activation_parameter(e.node, 1);
  if (name == "Clip") return clipped(e, value, alpha, beta);
  if (name != "Relu" && name != "Sigmoid" && name != "Tanh" && name != "LeakyRelu" &&
      name != "HardSigmoid" && name != "Elu" && name != "Softplus" && name != "Softsign" &&
      name != "ThresholdedRelu" && name != "HardSwish") {
    e.refuse(fmt::format("its activation '{}' is not known", name));
  }
  Attributes attributes;
  const bool has_alpha =
      name == "LeakyRelu" || name == "HardSigmoid" || name == "Elu" || name == "ThresholdedRelu";
  if (alpha && has_alpha) attributes.set("alpha", *alpha);
  if (beta && name == "HardSigmoid") attributes.set("beta", *beta);
  return e.op(name, {value}, attributes);
}

ValueId channels_first(Expansion& e, ValueId value, int rank) {
  std::vector<int64_t> permutation = {0, rank - 1};
  for (int64_t axis = 1; axis < rank - 1; ++axis) permutation.push_back(axis);
  return transposed(e, value, std::move(permutation));
}

ValueId channels_last(Expansion& e, ValueId value, int rank) {
  std::vector<int64_t> permutation = {0};
  for (int64_t axis = 2; axis < rank; ++axis) permutation.push_back(axis);
  permutation.push_back(1);
  return transposed(e, value, std::move(permutation));
}

}  // namespace nibble
