// Functions that the C library computes one element at a time, in vectors: from reals to reals, or
// to codes in the same pass.
#pragma once

#include "ops/quantization/integer_kernels.h"

namespace nibble {

/// Erf, Tanh, Sigmoid, Gelu.
std::unique_ptr<Kernel> real_function(const KernelSpec& spec);

/// Of codes a table is quicker still.
inline constexpr std::array kRealFunctionKernels = {
    kTableKernel,
    KernelRow{.name = "function of reals", .gives = Gives::u8_or_real, .make = real_function},
    on_reals("function of reals", real_function)};

}  // namespace nibble
