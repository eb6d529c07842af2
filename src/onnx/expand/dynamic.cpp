// Products of codes whose scales are found at run time, in the form in which Nibble writes them
// (quantize --dynamic); and recurrent layers with quantized weights.
//
// Before: %y = DynamicQuantizeMatMul(%x, %w:i8, %sw, %zw, %bias)
// After:  %q:u8, %s, %z = DynamicQuantizeLinear(%x)
//         %i:i32 = MatMulInteger(%q, %w, %z, %zw)
//         %y = Cast(%i) * (%s * %sw) + %bias
#include <array>

#include "base/check.h"
#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

struct Product {
  ValueId a, a_scale, a_zero, b, b_scale, b_zero, bias;
};

ValueId product_of_codes(Expansion& e, const Product& p) {
  const ValueId sums = e.op("MatMulInteger", {p.a, p.b, p.a_zero, p.b_zero});
  const ValueId scale = e.op("Mul", {p.a_scale, p.b_scale});
  return sum(e, {e.op("Mul", {cast(e, sums, DType::f32), scale}), p.bias});
}

// A, B, b_scale, b_zero_point, bias
bool dynamic_quantize_matmul(Expansion& e) {
  const auto a = e.ops("DynamicQuantizeLinear", {e.in(0)}, 3);
  e.give(0, product_of_codes(e, {.a = a[0],
                                 .a_scale = a[1],
                                 .a_zero = a[2],
                                 .b = e.in(1),
                                 .b_scale = e.in(2),
                                 .b_zero = e.in(3),
                                 .bias = e.in(4)}));
  return true;
}

// A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias
bool matmul_integer_to_float(Expansion& e) {
  const Tensor* a_scale = e.known(e.in(2));
  const Tensor* b_scale = e.known(e.in(3));
  const bool is_static = a_scale != nullptr && a_scale->elements() == 1 && b_scale != nullptr &&
                         b_scale->shape().rank() <= 1;
  if (is_static) {  // both become types
    const auto axis = b_scale->elements() == 1 ? std::nullopt : std::optional(int64_t{-1});
    const ValueId a = dequantized(e, {0, 2, 4}), b = dequantized(e, {1, 3, 5}, axis);
    e.give(0, sum(e, {e.op("MatMul", {a, b}), e.in(6)}));
    return true;
  }
  e.give(0, product_of_codes(e, {.a = e.in(0),
                                 .a_scale = e.in(2),
                                 .a_zero = e.in(4),
                                 .b = e.in(1),
                                 .b_scale = e.in(3),
                                 .b_zero = e.in(5),
                                 .bias = e.in(6)}));
  return true;
}

// Codes [directions, in, 4 * hidden] as the weight [directions, 4 * hidden, in] of LSTM. One scale
// for each direction, or for each direction and gate of each unit.
ValueId recurrent_weight(Expansion& e, const CodeInputs& at) {
  const Tensor& stored = e.required(e.in(at.codes), "weight");
  const Tensor scale = convert(e.required(e.in(at.scale), "scale"), DType::f32);
  const Tensor& zero = e.required(e.in(at.zero_point), "zero point");
  const Shape& shape = stored.shape();
  if (shape.rank() != 3 || zero.elements() != scale.elements() || !is_integer(stored.dtype()) ||
      bits_of(stored.dtype()) > 8) {
    e.refuse("its weight is not codes of 8 bits along three axes");
  }
  const int64_t directions = shape[0], in = shape[1], out = shape[2];
  const std::vector<int32_t> codes = unpack_integers(stored);
  std::vector<int32_t> turned(codes.size());
  for (int64_t d = 0; d < directions; ++d) {
    for (int64_t i = 0; i < in; ++i) {
      for (int64_t o = 0; o < out; ++o) {
        turned[static_cast<size_t>((d * out + o) * in + i)] =
            codes[static_cast<size_t>((d * in + i) * out + o)];
      }
    }
  }
  const ValueId weight = e.constant(pack_integers(stored.dtype(), {directions, out, in}, turned));
  Attributes attributes;
  Shape groups;
  if (scale.elements() == directions) {
    if (directions > 1) {
      groups = {directions};
      attributes.set("axis", int64_t{0});
    }
  } else if (scale.elements() == directions * out) {
    groups = directions == 1 ? Shape{out} : Shape{directions, out, 1};
    attributes.set("axis", int64_t{directions == 1 ? 1 : 2});
    if (directions > 1) attributes.set("block_size", in);
  } else {
    e.refuse(fmt::format("{} scales do not fit a weight {}", scale.elements(), shape.to_string()));
  }
  return e.op("DequantizeLinear",
              {weight, e.constant(scale.reshaped(groups)), e.constant(zero.reshaped(groups))},
              attributes);
}

// X, W, R, B, sequence_lens, initial_h, initial_c, P, then scales and zero points of W and R.
// ONNX Runtime rounds X and the states to 8 bits at each step besides; that is left out.
bool dynamic_quantize_lstm(Expansion& e) {
  const ValueId w = recurrent_weight(e, {1, 8, 9}), r = recurrent_weight(e, {2, 10, 11});
  const auto results = e.ops("LSTM", {e.in(0), w, r, e.in(3), e.in(4), e.in(5), e.in(6), e.in(7)},
                             3, e.node.attributes);
  e.give_all(results);
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "DynamicQuantizeLSTM", dynamic_quantize_lstm,
                 "DequantizeLinear, LSTM"},
    ExpansionRow{kMicrosoft, "DynamicQuantizeMatMul", dynamic_quantize_matmul,
                 "DynamicQuantizeLinear, MatMulInteger, Cast, Mul, Add"},
    ExpansionRow{kMicrosoft, "MatMulIntegerToFloat", matmul_integer_to_float,
                 "MatMulInteger, Cast, Mul, Add; DequantizeLinear, MatMul, Add"},
};

}  // namespace

std::span<const ExpansionRow> dynamic_expansions() { return kRows; }

}  // namespace nibble
