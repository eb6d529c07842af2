#include "ops/integer.h"

namespace nibble {

std::unique_ptr<Kernel> integer_conv(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_gemm(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_matmul(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_add(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_mul(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_max_pool(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_average_pool(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_global_average_pool(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_concat(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_table(const KernelSpec&) { return nullptr; }
std::unique_ptr<Kernel> integer_same_codes(const KernelSpec&) { return nullptr; }

}  // namespace nibble
