#if defined(__x86_64__)
#include "kernels/real_rows.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 64;

#include "kernels/real_rows_simd.inl"
}  // namespace

template <>
const RealRows& real_rows<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
