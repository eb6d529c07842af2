#include "kernels/real_rows.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 16;

#include "kernels/real_rows_simd.inl"
}  // namespace

template <>
const RealRows& real_rows<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
