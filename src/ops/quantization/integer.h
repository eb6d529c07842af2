// The `integer` column of the op table: kernels that take and give integer codes. nullptr where the
// combination of types has none; the runtime then dequantizes, evaluates in f32 and quantizes
// again.
#pragma once

#include "ops/op.h"

namespace nibble {

std::unique_ptr<Kernel> integer_conv(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_gemm(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_matmul(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_add(const KernelSpec& spec);  // Add, Sub
std::unique_ptr<Kernel> integer_mul(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_max_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_average_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_global_average_pool(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_concat(const KernelSpec& spec);
std::unique_ptr<Kernel> integer_table(
    const KernelSpec& spec);  // Relu, Sigmoid, HardSwish, ...: one input, 256 entries
std::unique_ptr<Kernel> integer_same_codes(
    const KernelSpec& spec);  // Reshape, Transpose, Slice, Flatten, Pad, ...

}  // namespace nibble
