#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/peak.h"

#define NIBBLE_OPAQUE(reg) asm volatile("" : "+v"(reg))

namespace nibble {
namespace {

struct Integers {
  using Sum = __m512i;
  using Operand = __m512i;
  static Sum zero() { return _mm512_setzero_si512(); }
  static Operand operand() { return _mm512_set1_epi8(1); }
};
struct Bytes : Integers {
  static constexpr int64_t kProducts = 64;
  static Sum add(Sum sum, Operand a, Operand b) { return _mm512_dpbusd_epi32(sum, a, b); }
};
struct Words : Integers {
  static constexpr int64_t kProducts = 32;
  static Sum add(Sum sum, Operand a, Operand b) { return _mm512_dpwssd_epi32(sum, a, b); }
};
struct Reals {
  using Sum = __m512;
  using Operand = __m512;
  static constexpr int64_t kProducts = 16;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Operand operand() { return _mm512_set1_ps(0.5F); }
  static Sum add(Sum sum, Operand a, Operand b) { return _mm512_fmadd_ps(a, b, sum); }
};

#include "kernels/peak_loop.inl"

constexpr PeakKernels kKernels = {
    .int8 = run_rounds<Bytes>, .int16 = run_rounds<Words>, .f32 = run_rounds<Reals>, .has_f32 = [] {
      return true;
    }};

}  // namespace

template <>
const PeakKernels& peak_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
