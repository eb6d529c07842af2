#if defined(__x86_64__)
#include "kernels/row_kernels.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 64;

#include "kernels/row_simd.inl"
}  // namespace

template <>
const RowKernels& row_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
