// Fake quantization of a run: every instruction set gives the bits of the reference.
#include "kernels/fake_quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/isa_table.h"
#include "support/isa.h"
#include "support/tensors.h"

namespace nibble {
namespace {

struct Case {
  FakeGrid grid;
  std::vector<float> in, other;
};

Case make_case(int64_t n, const FakeGrid& grid, uint64_t seed) {
  Case made{.grid = grid, .in = {}, .other = {}};
  Random random(seed);
  for (int64_t i = 0; i < n; ++i) {
    const double code = static_cast<double>(random.below(41)) / 2 - 10;  // ties too
    const double value = random.below(3) == 0 ? random.normal() * 5 : code;
    made.in.push_back(static_cast<float>(value * static_cast<double>(grid.scale)));
    made.other.push_back(static_cast<float>(random.normal()));
  }
  return made;
}

const std::vector<FakeGrid>& grids() {
  static const std::vector<FakeGrid> all = {
      {.scale = 0.1F, .low = -8, .high = 7},
      {.scale = 0.037F, .low = 0, .high = 15},
      {.scale = 2, .low = -3, .high = 4, .seed = 7, .unrounded = 1U << 31},
      {.scale = 0.5F, .low = 0, .high = 255, .seed = 1, .unrounded = 1U << 29},
  };
  return all;
}

TEST(fake_quantize, every_instruction_set_gives_the_bits_of_the_reference) {
  const FakeQuantizeKernels& reference = fake_quantize_kernels(Isa::reference);
  for (const Isa isa : testing::supported_isas()) {
    const FakeQuantizeKernels& kernels = fake_quantize_kernels(isa);
    for (const FakeGrid& grid : grids()) {
      for (const int64_t n : {1, 2, 15, 16, 17, 33, 1023, 1024, 1025, 3001}) {
        const Case given = make_case(n, grid, static_cast<uint64_t>(n));
        const auto size = static_cast<size_t>(n);
        constexpr uint32_t kFirst = 4'294'967'000U;  // indices wrap
        std::vector<float> right(size), got(size), right_gradient(size), gradient(size);
        reference.forward(grid, given.in.data(), kFirst, right.data(), n);
        kernels.forward(grid, given.in.data(), kFirst, got.data(), n);
        EXPECT_EQ(got, right) << name_of(isa) << " " << n;
        const double right_sum = reference.backward(grid, given.in.data(), kFirst,
                                                    given.other.data(), right_gradient.data(), n);
        const double sum =
            kernels.backward(grid, given.in.data(), kFirst, given.other.data(), gradient.data(), n);
        EXPECT_EQ(gradient, right_gradient) << name_of(isa) << " " << n;
        EXPECT_EQ(sum, right_sum) << name_of(isa) << " " << n;
        reference.mix(grid, given.in.data(), given.other.data(), kFirst, right.data(), n);
        kernels.mix(grid, given.in.data(), given.other.data(), kFirst, got.data(), n);
        EXPECT_EQ(got, right) << name_of(isa) << " " << n;
      }
    }
  }
}

TEST(fake_quantize, nan_is_the_lowest_code_and_infinities_are_the_outermost_ones) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : testing::supported_isas()) {
    const std::vector<float> in(40, std::nanf("")), up(40, kInfinity), down(40, -kInfinity);
    std::vector<float> out(40);
    const FakeGrid grid{.scale = 0.5F, .low = -3, .high = 4};
    for (const auto& [values, code] :
         {std::pair(&in, -3.0F), std::pair(&up, 4.0F), std::pair(&down, -3.0F)}) {
      fake_quantize_kernels(isa).forward(grid, values->data(), 0, out.data(), 40);
      for (const float x : out) EXPECT_EQ(x, 0.5F * code) << name_of(isa);
    }
  }
}

TEST(fake_quantize, the_share_that_stays_real_is_the_one_asked_for_and_differs_by_seed) {
  for (const double share : {0.0, 0.25, 0.5, 0.9}) {
    const auto unrounded = static_cast<uint32_t>(share * 0x1p32);
    int64_t left = 0, same = 0;
    constexpr uint32_t kCount = 100'000;
    for (uint32_t i = 0; i < kCount; ++i) {
      left += stays_real(3, i, unrounded) ? 1 : 0;
      same += stays_real(3, i, unrounded) == stays_real(900'000, i, unrounded) ? 1 : 0;
    }
    EXPECT_NEAR(static_cast<double>(left) / kCount, share, 0.01);
    const double independent = share * share + (1 - share) * (1 - share);
    EXPECT_NEAR(static_cast<double>(same) / kCount, independent, 0.02) << share;
  }
}

}  // namespace
}  // namespace nibble
