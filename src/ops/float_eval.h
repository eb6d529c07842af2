// For operators whose arithmetic is written for f32 alone: half precision goes through f32.
#pragma once

#include "ops/op.h"

namespace nibble {

/// True for f16 and bf16.
bool is_half(DType dtype);

/// Runs `eval` with every f16/bf16 input converted to f32, and converts its f32 outputs back to the
/// element type of input 0.
void eval_as_f32(EvalContext& context, EvalSignature* eval);

}  // namespace nibble
