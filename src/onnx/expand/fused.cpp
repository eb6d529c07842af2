// Layers with an activation, a sum or a transposition of their own.
#include <array>

#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

// X, W, B, Z: activation(Conv(X, W, B) + Z)
ValueId convolved(Expansion& e, ValueId x, ValueId z) {
  const ValueId y = e.op(
      "Conv", {x, e.in(1), e.in(2)},
      taken_over(e.node, {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  return activated(e, sum(e, {y, z}));
}

bool conv(Expansion& e) {
  e.give(0, convolved(e, e.in(0), e.in(3)));
  return true;
}

int channels_last_rank(Expansion& e, size_t like) {
  const int rank = std::max(e.rank(e.in(0)), e.rank(e.in(like)));
  if (rank < 3) e.refuse("how many axes its input has is not known");
  return rank;
}

bool nhwc_conv(Expansion& e) {
  const int rank = channels_last_rank(e, 1);
  const ValueId z = e.has(3) ? channels_first(e, e.in(3), rank) : ValueId{};
  e.give(0, channels_last(e, convolved(e, channels_first(e, e.in(0), rank), z), rank));
  return true;
}

bool nhwc_max_pool(Expansion& e) {
  const int rank = channels_last_rank(e, 0);
  const ValueId y = e.op("MaxPool", {channels_first(e, e.in(0), rank)},
                         taken_over(e.node, {"auto_pad", "ceil_mode", "dilations", "kernel_shape",
                                             "pads", "strides"}));
  e.give(0, channels_last(e, y, rank));
  return true;
}

bool gemm(Expansion& e) {
  const ValueId y = e.op("Gemm", {e.in(0), e.in(1), e.in(2)},
                         taken_over(e.node, {"alpha", "beta", "transA", "transB"}));
  e.give(0, activated(e, y));
  return true;
}

// The axes of the batch move behind the rows: [M, B..., K] -> [B..., M, K].
ValueId batch_first(Expansion& e, ValueId value) {
  const int rank = e.rank(value);
  if (rank < 2) e.refuse("how many axes the operand that it transposes has is not known");
  std::vector<int64_t> permutation;
  for (int64_t axis = 1; axis < rank - 1; ++axis) permutation.push_back(axis);
  permutation.push_back(0);
  permutation.push_back(rank - 1);
  return transposed(e, value, std::move(permutation));
}

// alpha * A' B', where A' and B' may be transposed.
bool matmul(Expansion& e) {
  const auto flag = [&](const char* name) { return e.node.attributes.integer(name, 0) != 0; };
  const float alpha = e.node.attributes.real("alpha", 1);
  if (e.rank(e.in(0)) == 2 && e.rank(e.in(1)) == 2) {
    const ValueId y =
        e.op("Gemm", {e.in(0), e.in(1)}, taken_over(e.node, {"alpha", "transA", "transB"}));
    e.give(0, activated(e, y));
    return true;
  }
  const auto operand = [&](size_t i, const char* batch, const char* matrix) {
    ValueId value = e.in(i);
    if (flag(batch)) value = batch_first(e, value);
    // A vector has nothing to transpose.
    if (flag(matrix) && e.rank(value) != 1) value = transposed_matrix(e, value);
    return value;
  };
  const ValueId a = operand(0, "transBatchA", "transA");
  const ValueId b = operand(1, "transBatchB", "transB");
  ValueId y = e.op("MatMul", {a, b});
  if (alpha != 1) y = e.op("Mul", {y, e.scalar_like(e.in(0), alpha)});
  e.give(0, activated(e, y));
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "FusedConv", conv, "Conv, Add, activation"},
    ExpansionRow{kMicrosoft, "FusedGemm", gemm, "Gemm, activation"},
    ExpansionRow{kMicrosoft, "FusedMatMul", matmul, "Transpose, MatMul, Mul; Gemm"},
    ExpansionRow{kMicrosoft, "FusedMatMulActivation", matmul, "Transpose, MatMul, activation"},
    ExpansionRow{kMicrosoft, "NhwcConv", nhwc_conv, "Transpose, Conv"},
    ExpansionRow{kMicrosoft, "NhwcFusedConv", nhwc_conv, "Transpose, Conv, Add, activation"},
    ExpansionRow{kMicrosoft, "NhwcMaxPool", nhwc_max_pool, "Transpose, MaxPool"},
    ExpansionRow{kMicrosoft, "TransposeMatMul", matmul, "Transpose, MatMul, Mul; Gemm"},
};

}  // namespace

std::span<const ExpansionRow> fused_expansions() { return kRows; }

}  // namespace nibble
