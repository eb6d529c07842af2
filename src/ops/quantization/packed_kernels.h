// Kernels of weight-only layers: real data, weights that stay packed in 4 or 8 bits.
#pragma once

#include "kernels/packed_float.h"
#include "ops/op.h"

namespace nibble {

std::unique_ptr<Kernel> packed_conv(const KernelSpec& spec);
std::unique_ptr<Kernel> packed_gemm(const KernelSpec& spec);
std::unique_ptr<Kernel> packed_matmul(const KernelSpec& spec);
std::unique_ptr<Kernel> packed_gather(const KernelSpec& spec);

/// How such a kernel stands in an operator's list.
constexpr KernelRow on_packed_weights(std::string_view name,
                                      std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name,
          .reads = {Reads::real, Reads::weight, Reads::parameter},
          .gives = Gives::real,
          .make = make};
}

}  // namespace nibble
