// Bytes are multiplied in pairs, whose products fit 16 bits, as micro_avx2.cpp does with most
// weights of 8 bits (those of 4 bits need fewer instructions and may exceed this peak); reals by
// FMA, as oneDNN does: every CPU with AVX2 that is in use has it, but it is a feature of its own.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/peak.h"

#define NIBBLE_OPAQUE(reg) asm volatile("" : "+x"(reg))

namespace nibble {
namespace {

struct Bytes {
  using Sum = __m256i;
  using Operand = __m256i;
  static constexpr int64_t kProducts = 32;
  static Sum zero() { return _mm256_setzero_si256(); }
  static Operand operand() { return _mm256_set1_epi16(1); }
  static Sum add(Sum sum, Operand a, Operand b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), operand()));
  }
};
struct Words {
  using Sum = __m256i;
  using Operand = __m256i;
  static constexpr int64_t kProducts = 16;
  static Sum zero() { return _mm256_setzero_si256(); }
  static Operand operand() { return _mm256_set1_epi16(1); }
  static Sum add(Sum sum, Operand a, Operand b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }
};
struct Reals {
  using Sum = __m256;
  using Operand = __m256;
  static constexpr int64_t kProducts = 8;
  static Sum zero() { return _mm256_setzero_ps(); }
  static Operand operand() { return _mm256_set1_ps(0.5F); }
  static Sum add(Sum sum, Operand a, Operand b) {
    asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
  }
};

#include "kernels/peak_loop.inl"

constexpr PeakKernels kKernels = {
    .int8 = run_rounds<Bytes>, .int16 = run_rounds<Words>, .f32 = run_rounds<Reals>, .has_f32 = [] {
      return __builtin_cpu_supports("fma") != 0;
    }};

}  // namespace

template <>
const PeakKernels& peak_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
