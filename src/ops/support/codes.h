// The physical form of quantized activations: one byte per code, always unsigned. Signed codes are
// shifted up by 128, and their zero point with them, so that kernels see u8 alone.
#pragma once

#include <optional>

#include "nibble/graph.h"

namespace nibble {

/// Parameters of the u8 codes that represent a value of `type`; nullopt unless it is f32 quantized
/// per tensor to at most 8 bits.
std::optional<QuantParams> code_form(const TensorType& type);

/// The codes of a quantized constant in that form: u8, the constant's shape.
Tensor code_form_of(const Value& constant);

/// A constant in real numbers (a quantized one is dequantized).
Tensor real_form_of(const Value& constant);

}  // namespace nibble
