// A loop over independent sums, as many as hide the latency of one instruction. Included in the
// unnamed namespace of each instruction set's file, with NIBBLE_OPAQUE(register): the compiler no
// longer knows what it holds, and so can neither move a product out of the loop nor share it.

template <typename Op>
__attribute__((noinline)) int64_t run_rounds(int64_t rounds) {
  constexpr int kSums = 10;
  typename Op::Sum sums[kSums];
  typename Op::Operand a = Op::operand(), b = Op::operand();
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = Op::zero();
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) {
      NIBBLE_OPAQUE(a);
      sums[i] = Op::add(sums[i], a, b);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) NIBBLE_OPAQUE(sums[i]);
  return rounds * kSums * Op::kProducts;
}
