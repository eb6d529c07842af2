// Kernels on integer codes: what the rows of the op table offer besides f32. Each says in
// spec.why_not what it cannot do; lowering then asks the operator's next row.
#pragma once

#include <optional>

#include "kernels/layout.h"
#include "ops/op.h"

namespace nibble {

std::unique_ptr<Kernel> integer_conv(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_gemm(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_matmul(const KernelSpec& spec);
/// Of two operands that are both codes.
std::unique_ptr<Kernel> integer_product(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_add(const KernelSpec& spec);  // Add, Sub
std::unique_ptr<Kernel> integer_mul(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_max_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_average_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_global_average_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_concat(const KernelSpec& spec);

/// Any function of one input of 8 bits: 256 entries, filled by the operator's own f32 evaluation.
std::unique_ptr<Kernel> integer_table(const KernelSpec& spec);
inline constexpr KernelRow kTableKernel = {.name = "table of u8 codes",
                                           .reads = {Reads::u8_or_constant, Reads::u8_or_constant,
                                                     Reads::u8_or_constant, Reads::u8_or_constant},
                                           .gives = Gives::u8_or_real,
                                           .make = integer_table};
inline constexpr std::array kTableOfCodes = {kTableKernel};

/// The operator's own evaluation, on codes as on any other element type.
std::unique_ptr<Kernel> evaluate_on_codes(const KernelSpec& spec);
inline constexpr KernelRow kEvalOnCodes = on_elements("evaluation on codes", evaluate_on_codes);
inline constexpr std::array kMovedByEval = {kEvalOnCodes};

/// Transpose that exchanges two neighbouring runs of axes.
std::unique_ptr<Kernel> exchange_codes(const KernelSpec& spec);
/// As [batch, channels, spatial] -> [batch, spatial, channels], if the Transpose is one.
std::optional<LayoutShape> exchanged_axes(const Node& transpose, const Shape& in);

}  // namespace nibble
