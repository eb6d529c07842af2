// The one place in the tests that knows how a row of the op table offers its kernels.
#pragma once

#include <algorithm>

#include "ops/op.h"

namespace nibble::testing {

/// The row has a kernel on real numbers beside its evaluation.
inline bool has_real_kernel(const OpRow& row) {
  return std::ranges::any_of(row.kernels.rows, [](const KernelRow& kernel) {
    return kernel.read(0) == Reads::real && !kernel.is_quantized();
  });
}

/// The row has a kernel on integer codes: one that computes with them, or that moves them.
inline bool has_integer_kernel(const OpRow& row) {
  return std::ranges::any_of(row.kernels.rows, [&](const KernelRow& kernel) {
    return std::ranges::any_of(kernel.reads, [&](Reads reads) {
      if (reads == Reads::as_it_is) return kernel.gives == Gives::moved;
      return reads != Reads::real && reads != Reads::weight && reads != Reads::parameter;
    });
  });
}

}  // namespace nibble::testing
