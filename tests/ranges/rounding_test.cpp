#include "ranges/rounding.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nibble/error.h"
#include "nibble/tensor.h"

namespace nibble {
namespace {

std::vector<RoundedWeight> round_down(const RoundingScope& scope, ThreadPool&) {
  std::vector<RoundedWeight> rounded;
  for (const WeightToRound& one : scope.weights) {
    const std::vector<int32_t> codes(one.weight.elements(), one.params.qmin);
    rounded.push_back({.codes = pack_integers(one.params.storage, one.weight.shape(), codes)});
  }
  return rounded;
}

// As a library that is loaded with the program does.
const RoundingRegistration kDown({.name = "down", .summary = "a test", .round = round_down});

TEST(rounding, rows_register_themselves_and_are_listed_by_name) {
  EXPECT_TRUE(std::ranges::is_sorted(roundings(), {}, &RoundingRow::name));
  EXPECT_EQ(find_rounding("down").summary, "a test");
  for (const RoundingRow& row : roundings()) {
    EXPECT_FALSE(row.summary.empty());
    EXPECT_EQ(&find_rounding(row.name), &row);
  }
  try {
    find_rounding("up");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rounding method 'up' is unknown; choose down, gptq or nearest");
  }
}

TEST(rounding, nearest_takes_the_nearest_code_and_the_even_one_of_two) {
  ThreadPool pool(1);
  const QuantParams params{
      .storage = DType::i4, .qmin = -8, .qmax = 7, .scale = {0.5F}, .zero_point = {0}};
  const Tensor weight = Tensor::of<float>({6}, {0.24F, 0.25F, 0.75F, -0.26F, 9, -9});
  const Tensor codes = round_weight(find_rounding("nearest"), weight, params, pool);
  EXPECT_EQ(unpack_integers(codes), (std::vector<int32_t>{0, 0, 2, -1, 7, -8}));
}

}  // namespace
}  // namespace nibble
