// What weights were before they were rounded, if they took over differences between channels.
#include "report/causes/evened.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace nibble {
namespace {

constexpr int64_t kInputs = 24, kOutputs = 10;
constexpr double kStep = 0.01;
constexpr double kNoise = kStep * kStep / 12 * kInputs * kOutputs;

struct Weights {
  std::vector<float> real, rounded;
  std::vector<double> evened;
};

// Each input channel times up to `most`, each output channel over as much.
Weights weights(double most) {
  Random random(5);
  std::vector<double> in, out;
  for (int64_t i = 0; i < kInputs; ++i) in.push_back(std::pow(most, random.uniform()));
  for (int64_t o = 0; o < kOutputs; ++o) out.push_back(std::pow(most, -random.uniform()));
  Weights result;
  for (int64_t e = 0; e < kInputs * kOutputs; ++e) {
    const auto real = static_cast<float>(random.normal());
    const double scaled =
        real * in[static_cast<size_t>(e / kOutputs)] * out[static_cast<size_t>(e % kOutputs)];
    result.real.push_back(real);
    result.evened.push_back(scaled);
    result.rounded.push_back(static_cast<float>(std::round(scaled / kStep) * kStep));
  }
  return result;
}

WeightIndex of_matrix() { return {Node{.op = "MatMul"}, {kInputs, kOutputs}}; }

TEST(evened_weights, are_found_behind_factors_for_each_channel) {
  const Weights given = weights(8);
  const auto found = evened_weights(given.real, given.rounded, of_matrix(), kNoise);
  double left = 0;
  for (size_t i = 0; i < found.size(); ++i) left += std::pow(found[i] - given.evened[i], 2);
  EXPECT_LT(left, kNoise / 2) << "the factors are better known than one weight";
}

TEST(evened_weights, that_were_not_evened_are_the_real_ones) {
  const Weights given = weights(1);
  EXPECT_EQ(evened_weights(given.real, given.rounded, of_matrix(), kNoise),
            std::vector<double>(given.real.begin(), given.real.end()));
  std::vector<float> other = given.real;
  std::ranges::reverse(other);  // far away, and not by factors
  EXPECT_EQ(evened_weights(other, given.rounded, of_matrix(), kNoise),
            std::vector<double>(other.begin(), other.end()));
}

}  // namespace
}  // namespace nibble
