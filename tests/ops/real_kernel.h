#pragma once

#include <memory>

#include "ops/op.h"

namespace nibble::test {

/// The first kernel on real numbers that the row has for these types; nullptr if it has none.
inline std::unique_ptr<Kernel> make_real_kernel(const OpRow& row, const KernelSpec& spec) {
  for (const KernelRow& kernel : row.kernels.rows) {
    if (kernel.is_quantized()) continue;
    if (auto made = kernel.make(spec)) return made;
  }
  return nullptr;
}

}  // namespace nibble::test
