// Models that several tests read, write and damage.
#pragma once

#include "onnx/model_builder.h"

namespace nibble::testing {

/// y = If(c) of Ifs of Neg(x): each body captures from the graph outermost.
ModelBuilder nested_if();
/// Uses every corner that Nibble carries without understanding it.
ModelBuilder rich_model();
/// y = If(positive) { ReduceSum(MatMul(x, w), axes) } else { ReduceSum(x, axes) }, in the form of
/// opset 12 with an attribute for the axes. The bodies hold values named as Nibble would name those
/// it makes for the outer weight "w" and the reduction "sum".
ModelBuilder with_branches();
/// nested_if(), a quantized value and a Gemm.
ModelBuilder with_quantized_value();

}  // namespace nibble::testing
