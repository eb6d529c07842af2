#include "kernels/row_kernels.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 16;

#include "kernels/row_simd.inl"
}  // namespace

template <>
const RowKernels& row_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
