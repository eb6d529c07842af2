// Which weights a file may hold in 2 bits.
#pragma once

#include <set>

#include "nibble/graph.h"

namespace nibble {

/// Quantized constants that ONNX Runtime 1.32 cannot be trusted with in int2 or uint2. Where a
/// layer and the DequantizeLinear before it become one operator, as they do by default, the file is
/// refused (QLinearConv, QGemm and QLinearMatMul have no 2-bit types) or the result is wrong
/// (MatMulNBits, unless the number of columns suits it). What stays: weights of ConvTranspose,
/// weights of Conv and Gemm whose data is not quantized, and of a Conv whose result has less than 8
/// bits, as the Clip behind it prevents the fusion.
std::set<ValueId> weights_above_two_bits(const Graph& graph);

}  // namespace nibble
