// SSE2, the baseline of x86-64: pairs of 16 bits, and products and sums of reals apart.
#if defined(__SSE2__)
#include <emmintrin.h>

#include "kernels/peak.h"

#define NIBBLE_OPAQUE(reg) asm volatile("" : "+x"(reg))

namespace nibble {
namespace {

struct Words {
  using Sum = __m128i;
  using Operand = __m128i;
  static constexpr int64_t kProducts = 8;
  static Sum zero() { return _mm_setzero_si128(); }
  static Operand operand() { return _mm_set1_epi16(1); }
  static Sum add(Sum sum, Operand a, Operand b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
};
struct Reals {
  using Sum = __m128;
  using Operand = __m128;
  static constexpr int64_t kProducts = 4;
  static Sum zero() { return _mm_setzero_ps(); }
  static Operand operand() { return _mm_set1_ps(0.5F); }
  static Sum add(Sum sum, Operand a, Operand b) { return _mm_add_ps(sum, _mm_mul_ps(a, b)); }
};

#include "kernels/peak_loop.inl"

constexpr PeakKernels kKernels = {
    .int8 = run_rounds<Words>, .int16 = run_rounds<Words>, .f32 = run_rounds<Reals>, .has_f32 = [] {
      return true;
    }};

}  // namespace

template <>
const PeakKernels& peak_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
#endif
