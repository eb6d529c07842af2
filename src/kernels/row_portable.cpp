#include "kernels/row_kernels.h"

namespace nibble {
namespace {
#include "kernels/row_simd.inl"
}

const RowKernels& row_kernels_portable() { return kKernels; }

}  // namespace nibble
