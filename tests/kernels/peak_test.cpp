#include "kernels/peak.h"

#include <gtest/gtest.h>

#include "kernels/isa_table.h"
#include "support/isa.h"

namespace nibble {
namespace {

TEST(peak, each_loop_says_how_many_products_it_made) {
  for (const IsaRow& row : isa_table()) {
    if (row.peak == nullptr || !row.is_supported()) continue;
    for (const auto loop : {row.peak().int8, row.peak().int16, row.peak().f32}) {
      if (loop == row.peak().f32 && !row.peak().has_f32()) continue;
      const int64_t one = loop(1);
      EXPECT_GT(one, 0) << row.name;
      EXPECT_EQ(loop(1000), 1000 * one) << row.name;
    }
  }
}

// The compiler has moved nothing out of the loops.
TEST(peak, no_core_does_more_products_in_a_cycle_than_it_has_lanes) {
#if defined(__x86_64__)
  ThreadPool pool(1);
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    const MultiplyRates rates = measure_multiply_rates(pool, isa);
    EXPECT_GT(rates.f32, 0);
    // Two instructions a cycle, of 64 bytes, at less than 7 GHz.
    EXPECT_GT(rates.int8, 1e6) << name_of(isa);
    EXPECT_LT(rates.int8, 2 * 64 * 7e9) << name_of(isa);
    EXPECT_LT(rates.int16, 2 * 32 * 7e9) << name_of(isa);
    EXPECT_LT(rates.f32, 2 * 16 * 7e9) << name_of(isa);
  }
#endif
}

TEST(peak, memory_is_copied_at_a_rate_that_can_be_had) {
  ThreadPool pool(2);
  const double rate = measure_copy_rate(pool, 1 << 16);
  EXPECT_GT(rate, 1e6);
  EXPECT_LT(rate, 2 * 2 * 128 * 7e9);
}

}  // namespace
}  // namespace nibble
