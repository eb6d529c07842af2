#if defined(__x86_64__)
#include "kernels/real_rows.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 32;

#include "kernels/real_rows_simd.inl"
}  // namespace

template <>
const RealRows& real_rows<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
