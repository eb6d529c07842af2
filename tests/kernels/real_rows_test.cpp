// Loops over reals, on every instruction set against the reference, bit for bit.
#include "kernels/real_rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/isa_table.h"
#include "support/isa.h"

namespace nibble {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of several magnitudes, from where functions are linear to where they saturate, and what is no
// number among them.
std::vector<float> reals(size_t count, uint64_t seed, bool finite = false) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value =
        static_cast<float>(std::ldexp(random.normal(), static_cast<int>(random.below(20)) - 14));
  }
  if (!finite && count > 40) {
    values[3] = kInfinity, values[17] = -kInfinity, values[33] = std::nanf(""), values[20] = -0.0F;
  }
  return values;
}

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> all;
  for (const float x : values)
    all.push_back(std::isnan(x) ? 0x7fc00000U : std::bit_cast<uint32_t>(x));
  return all;
}

// Calls body(rows, reference, length) for each instruction set that this CPU has.
template <typename Body>
void for_each_isa_and_length(const Body& body) {
  const RealRows& reference = isa_row(Isa::reference).reals();
  for (const Isa isa : testing::supported_isas()) {
    SCOPED_TRACE(name_of(isa));
    for (size_t n = 1; n < 100; ++n) body(isa_row(isa).reals(), reference, n);
    body(isa_row(isa).reals(), reference, 1000);
  }
}

TEST(real_rows, functions_are_the_same_bits_on_every_instruction_set) {
  for_each_isa_and_length([](const RealRows& rows, const RealRows& reference, size_t n) {
    const std::vector<float> in = reals(n, n);
    for (int f = 0; f < RealRows::kFunctions; ++f) {
      std::vector<float> got(n), expected(n);
      rows.function(static_cast<RealFunction>(f))(in.data(), got.data(), static_cast<int64_t>(n));
      reference.function(static_cast<RealFunction>(f))(in.data(), expected.data(),
                                                       static_cast<int64_t>(n));
      EXPECT_EQ(bits(got), bits(expected)) << f << " of " << n;
    }
  });
}

TEST(real_rows, sums_and_products_are_the_same_bits_in_place_too) {
  for_each_isa_and_length([](const RealRows& rows, const RealRows& reference, size_t n) {
    const std::vector<float> a = reals(n, n), b = reals(n, n + 1);
    const auto count = static_cast<int64_t>(n);
    std::vector<float> got = a, expected(n);
    rows.add(got.data(), b.data(), got.data(), count);
    reference.add(a.data(), b.data(), expected.data(), count);
    EXPECT_EQ(bits(got), bits(expected)) << n;
    rows.scale(got.data(), 0.3F, got.data(), count);
    reference.scale(expected.data(), 0.3F, expected.data(), count);
    EXPECT_EQ(bits(got), bits(expected)) << n;
  });
}

TEST(real_rows, codes_of_scaled_reals_round_half_to_even_and_saturate) {
  for_each_isa_and_length([](const RealRows& rows, const RealRows& reference, size_t n) {
    std::vector<float> in = reals(n, n);
    for (size_t i = 0; i < n; i += 5) in[i] = static_cast<float>(i) - 50.5F;
    const auto count = static_cast<int64_t>(n);
    for (const float factor : {1.0F, 37.5F}) {
      std::vector<uint8_t> got(n), expected(n);
      rows.scale_to_codes(in.data(), factor, 7, 3, 250, got.data(), count);
      reference.scale_to_codes(in.data(), factor, 7, 3, 250, expected.data(), count);
      EXPECT_EQ(got, expected) << n;
    }
  });
}

TEST(real_rows, exponentials_and_their_sum_are_the_same_bits) {
  for_each_isa_and_length([](const RealRows& rows, const RealRows& reference, size_t n) {
    std::vector<float> in = reals(n, n, true);
    if (n > 4) in[n / 2] = -kInfinity;
    std::vector<float> got(n), expected(n);
    const auto count = static_cast<int64_t>(n);
    const double sum = rows.exponentials(in.data(), got.data(), count);
    EXPECT_EQ(sum, reference.exponentials(in.data(), expected.data(), count)) << n;
    EXPECT_EQ(bits(got), bits(expected)) << n;
    EXPECT_GE(sum, 1);
  });
}

TEST(real_rows, normalized_rows_are_the_same_bits_with_and_without_a_bias) {
  for_each_isa_and_length([](const RealRows& rows, const RealRows& reference, size_t n) {
    const std::vector<float> in = reals(n, n, true), gain = reals(n, n + 1, true),
                             bias = reals(n, n + 2, true);
    for (const float* offset : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> got(n), expected(n);
      rows.normalize(in.data(), gain.data(), offset, 1e-5, got.data(), static_cast<int64_t>(n));
      reference.normalize(in.data(), gain.data(), offset, 1e-5, expected.data(),
                          static_cast<int64_t>(n));
      EXPECT_EQ(bits(got), bits(expected)) << n;
    }
  });
}

}  // namespace
}  // namespace nibble
