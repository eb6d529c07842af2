#include "kernels/row_kernels.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 16;

#include "kernels/row_simd.inl"
}  // namespace

const RowKernels& row_kernels_portable() { return kKernels; }

}  // namespace nibble
