#include "kernels/fake_quantize.h"

#include "kernels/isa_table.h"

namespace nibble {

const FakeQuantizeKernels& fake_quantize_kernels(Isa isa) { return isa_row(isa).fake_quantize(); }

}  // namespace nibble
