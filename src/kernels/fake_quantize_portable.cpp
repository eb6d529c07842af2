#include "kernels/fake_quantize.h"

namespace nibble {
namespace {

#include "kernels/fake_quantize_loops.inl"

}  // namespace

template <>
const FakeQuantizeKernels& fake_quantize_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
