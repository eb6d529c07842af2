// For operators that are written for some element types alone: half precision goes through f32,
// packed integers go through bytes.
#pragma once

#include "ops/op.h"

namespace nibble {

/// True for f16 and bf16.
bool is_half(DType dtype);

/// Runs `eval` with every f16/bf16 input converted to f32, and converts its f32 outputs back to the
/// element type of input 0. Throws Error{unsupported} if no input is of half precision.
void eval_as_f32(EvalContext& context, EvalSignature* eval);

/// True for types of less than a byte.
bool is_packed(DType dtype);

/// Runs `eval` with every packed input as i8 or u8, and packs its outputs of that type again.
void eval_as_bytes(EvalContext& context, EvalSignature* eval);

/// Size of an element that is not packed.
inline size_t element_bytes(DType dtype) { return static_cast<size_t>(bits_of(dtype)) / 8; }

}  // namespace nibble
