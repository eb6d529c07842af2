// Integer arithmetic on codes becomes arithmetic on the reals that the codes stand for, between
// DequantizeLinear and QuantizeLinear: fold_qdq then makes types of both.
//
// Before: %c:u8 = QLinearAdd(%a:u8, %sa, %za, %b:u8, %sb, %zb, %sc, %zc)
// After:  %ra = DequantizeLinear(%a, %sa, %za)      %r = Add(%ra, %rb)
//         %rb = DequantizeLinear(%b, %sb, %zb)      %c = QuantizeLinear(%r, %sc, %zc)
//
// Real and integer results are the same but where a real lies between two codes.
#include <array>

#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

void give_quantized_at(Expansion& e, ValueId real, size_t scale, size_t like = 0) {
  give_quantized(e, real, e.in(scale), e.in(scale + 1), e.type(e.in(like)).dtype);
}

bool expand_binary(Expansion& e, std::string_view op) {
  const ValueId a = dequantized(e, {0, 1, 2}), b = dequantized(e, {3, 4, 5});
  give_quantized_at(e, e.op(op, {a, b}), 6);
  return true;
}
bool expand_add(Expansion& e) { return expand_binary(e, "Add"); }
bool expand_mul(Expansion& e) { return expand_binary(e, "Mul"); }

bool expand_sigmoid(Expansion& e) {
  give_quantized_at(e, e.op("Sigmoid", {dequantized(e, {0, 1, 2})}), 3);
  return true;
}

bool expand_leaky_relu(Expansion& e) {
  const Attributes attributes = attributes_of({{"alpha", e.node.attributes.real("alpha", 0.01F)}});
  give_quantized_at(e, e.op("LeakyRelu", {dequantized(e, {0, 1, 2})}, attributes), 3);
  return true;
}

// Before opset 13, all axes from `axis` on are one.
ValueId softmax_of_flat(Expansion& e, ValueId real, int64_t axis) {
  const ValueId flat = e.op("Flatten", {real}, attributes_of({{"axis", axis}}));
  const ValueId result = e.op("Softmax", {flat}, attributes_of({{"axis", int64_t{-1}}}));
  return e.op("Reshape", {result, e.op("Shape", {real})});
}

bool expand_softmax(Expansion& e) {
  const int64_t axis = e.node.attributes.integer("axis", -1);
  const bool flat = e.node.attributes.integer("opset", e.opset()) < 13;
  const int rank = e.rank(e.in(0));
  const bool last = axis == -1 || axis == rank - 1;
  if (!flat && !last && e.opset() < 13) e.refuse("Softmax over an inner axis needs opset 13");
  const ValueId real = dequantized(e, {0, 1, 2});
  const ValueId result =
      flat && !last ? softmax_of_flat(e, real, axis)
                    : e.op("Softmax", {real}, attributes_of({{"axis", last ? int64_t{-1} : axis}}));
  give_quantized_at(e, result, 3);
  return true;
}

bool expand_where(Expansion& e) {
  const ValueId x = dequantized(e, {1, 2, 3}), y = dequantized(e, {4, 5, 6});
  give_quantized_at(e, e.op("Where", {e.in(0), x, y}), 7, 1);
  return true;
}

bool expand_concat(Expansion& e) {
  if (e.node.inputs.size() % 3 != 2 || e.node.inputs.size() < 5) {
    e.refuse("each input needs a scale and a zero point");
  }
  std::vector<ValueId> reals;
  for (size_t i = 2; i + 2 < e.node.inputs.size(); i += 3) {
    reals.push_back(dequantized(e, {i, i + 1, i + 2}));
  }
  const ValueId result = e.op("Concat", reals, taken_over(e.node, {"axis"}));
  give_quantized_at(e, result, 0, 2);
  return true;
}

bool expand_reduce_mean(Expansion& e) {
  const ValueId mean =
      reduced(e, "ReduceMean", dequantized(e, {0, 1, 2}), e.node.attributes.integers("axes"),
              e.node.attributes.integer("keepdims", 1) != 0);
  give_quantized_at(e, mean, 3);
  return true;
}

int spatial_rank(Expansion& e) {
  const int rank = e.rank(e.in(0));
  if (rank < 3) e.refuse("how many axes its channels-last input has is not known");
  return rank;
}

bool expand_pool(Expansion& e, std::string_view op, const Attributes& attributes) {
  const bool last = e.node.attributes.integer("channels_last", 0) != 0;
  const int rank = last ? spatial_rank(e) : 0;
  ValueId real = dequantized(e, {0, 1, 2});
  if (last) real = channels_first(e, real, rank);
  ValueId result = e.op(op, {real}, attributes);
  if (last) result = channels_last(e, result, rank);
  give_quantized_at(e, result, 3);
  return true;
}
bool expand_average_pool(Expansion& e) {
  return expand_pool(e, "AveragePool",
                     taken_over(e.node, {"auto_pad", "ceil_mode", "count_include_pad",
                                         "kernel_shape", "pads", "strides"}));
}
bool expand_global_average_pool(Expansion& e) { return expand_pool(e, "GlobalAveragePool", {}); }

// ---- Layers ----

bool is_one(const Tensor* tensor) { return tensor != nullptr && tensor->elements() == 1; }

// Scales and zero points of data and result: one each, and known.
bool is_per_tensor(Expansion& e, const CodeInputs& x, size_t y_scale) {
  const auto one = [&](size_t input) { return is_one(e.known(e.in(input))); };
  return one(x.scale) && (!e.has(x.zero_point) || one(x.zero_point)) && one(y_scale) &&
         one(y_scale + 1);
}

// Of int32, in units of factor * x_scale * w_scale[channel].
ValueId dequantized_bias(Expansion& e, size_t bias, const Tensor& x_scale, const Tensor& w_scale,
                         float factor = 1) {
  if (!e.has(bias)) return {};
  const float x = convert(x_scale, DType::f32).data<float>()[0] * factor;
  const Tensor w = convert(w_scale, DType::f32);
  const int64_t count = w.elements();
  Tensor scale(DType::f32, count == 1 ? Shape{} : Shape{count});
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    scale.data<float>()[i] = x * w.data<float>()[i];
  }
  Attributes attributes;
  if (count > 1) attributes.set("axis", int64_t{0});
  return e.op("DequantizeLinear", {e.in(bias), e.constant(scale)}, attributes);
}

// x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B
bool expand_conv(Expansion& e) {
  const Tensor* w_scale = e.known(e.in(4));
  const bool last = e.node.attributes.integer("channels_last", 0) != 0;
  if (!is_per_tensor(e, {0, 1, 2}, 6) || w_scale == nullptr || w_scale->shape().rank() > 1) {
    if (!e.node.domain.empty()) e.refuse("its scales are not constants");
    return false;
  }
  const int rank = last ? spatial_rank(e) : 0;
  ValueId x = dequantized(e, {0, 1, 2});
  if (last) x = channels_first(e, x, rank);
  const ValueId w =
      dequantized(e, {3, 4, 5}, is_one(w_scale) ? std::nullopt : std::optional(int64_t{0}));
  const ValueId bias = dequantized_bias(e, 8, *e.known(e.in(1)), *w_scale);
  ValueId y = e.op(
      "Conv", {x, w, bias},
      taken_over(e.node, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  if (last) y = channels_last(e, y, rank);
  give_quantized(e, y, e.in(6), e.in(7));
  return true;
}

// a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point
bool expand_matmul(Expansion& e) {
  const Tensor* b_scale = e.known(e.in(4));
  if (!is_per_tensor(e, {0, 1, 2}, 6) || b_scale == nullptr || b_scale->shape().rank() > 1) {
    return false;
  }
  const ValueId a = dequantized(e, {0, 1, 2});
  const ValueId b =
      dequantized(e, {3, 4, 5}, is_one(b_scale) ? std::nullopt : std::optional(int64_t{-1}));
  give_quantized(e, e.op("MatMul", {a, b}), e.in(6), e.in(7));
  return true;
}

// A, a_scale, a_zero_point, B, b_scale, b_zero_point, C, y_scale, y_zero_point
bool expand_gemm(Expansion& e) {
  const Tensor& a_scale = e.required(e.in(1), "scale of A");
  const Tensor& b_scale = e.required(e.in(4), "scale of B");
  if (!is_one(&a_scale)) e.refuse("A has a scale for each row");
  const bool transposed = e.node.attributes.integer("transB", 0) != 0;
  const float alpha = e.node.attributes.real("alpha", 1);
  const std::optional<int64_t> axis =
      is_one(&b_scale) ? std::nullopt : std::optional(int64_t{transposed ? 0 : 1});
  const ValueId a = dequantized(e, {0, 1, 2}), b = dequantized(e, {3, 4, 5}, axis);
  const ValueId c = dequantized_bias(e, 6, a_scale, b_scale, alpha);
  const ValueId y = e.op("Gemm", {a, b, c}, taken_over(e.node, {"alpha", "transA", "transB"}));
  if (e.has(7)) {
    give_quantized_at(e, y, 7);
  } else {
    e.give(0, y);
  }
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "QGemm", expand_gemm, "Gemm"},
    ExpansionRow{kMicrosoft, "QLinearAdd", expand_add, "Add"},
    ExpansionRow{kMicrosoft, "QLinearAveragePool", expand_average_pool, "AveragePool"},
    ExpansionRow{kMicrosoft, "QLinearConcat", expand_concat, "Concat"},
    ExpansionRow{"", "QLinearConv", expand_conv, "Conv"},
    ExpansionRow{kMicrosoft, "QLinearConv", expand_conv, "Conv"},
    ExpansionRow{kMicrosoft, "QLinearGlobalAveragePool", expand_global_average_pool,
                 "GlobalAveragePool"},
    ExpansionRow{kMicrosoft, "QLinearLeakyRelu", expand_leaky_relu, "LeakyRelu"},
    ExpansionRow{"", "QLinearMatMul", expand_matmul, "MatMul"},
    ExpansionRow{kMicrosoft, "QLinearMul", expand_mul, "Mul"},
    ExpansionRow{kMicrosoft, "QLinearReduceMean", expand_reduce_mean, "ReduceMean"},
    ExpansionRow{kMicrosoft, "QLinearSigmoid", expand_sigmoid, "Sigmoid"},
    ExpansionRow{kMicrosoft, "QLinearSoftmax", expand_softmax, "Softmax"},
    ExpansionRow{kMicrosoft, "QLinearWhere", expand_where, "Where"},
};

}  // namespace

std::span<const ExpansionRow> qlinear_expansions() { return kRows; }

}  // namespace nibble
