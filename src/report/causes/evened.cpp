#include "report/causes/evened.h"

#include <cmath>

namespace nibble {
namespace {

constexpr double kUnusual = 4;  // times what rounding leaves, or what is left with factors
constexpr int kRounds = 10;

size_t at(int64_t i) { return static_cast<size_t>(i); }

// Along one kind of channel: of the others' `factor`, what brings `real` nearest to `rounded`.
struct Fit {
  std::vector<double> products, squares;

  explicit Fit(int64_t channels) : products(at(channels), 0), squares(at(channels), 0) {}
  void add(int64_t channel, double real, double rounded) {
    products[at(channel)] += real * rounded;
    squares[at(channel)] += real * real;
  }
  std::vector<double> factors() const {
    std::vector<double> result(products.size(), 1);
    for (size_t c = 0; c < result.size(); ++c) {
      if (products[c] > 0) result[c] = products[c] / squares[c];
    }
    return result;
  }
};

double squared_difference(std::span<const double> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(a[i] - static_cast<double>(b[i]), 2);
  return sum;
}

}  // namespace

std::vector<double> evened_weights(std::span<const float> real, std::span<const float> rounded,
                                   const WeightIndex& index, double noise) {
  std::vector<double> same(real.begin(), real.end());
  const double plain = squared_difference(same, rounded);
  if (plain <= kUnusual * noise) return same;
  std::vector<double> in(at(index.inputs()), 1), out(at(index.outputs()), 1);
  const auto count = static_cast<int64_t>(real.size());
  for (int round = 0; round < kRounds; ++round) {
    Fit inputs(index.inputs()), outputs(index.outputs());
    for (int64_t e = 0; e < count; ++e) {
      inputs.add(index.input(e), same[at(e)] * out[at(index.output(e))],
                 static_cast<double>(rounded[at(e)]));
    }
    in = inputs.factors();
    for (int64_t e = 0; e < count; ++e) {
      outputs.add(index.output(e), same[at(e)] * in[at(index.input(e))],
                  static_cast<double>(rounded[at(e)]));
    }
    out = outputs.factors();
  }
  std::vector<double> evened(same);
  for (int64_t e = 0; e < count; ++e) {
    evened[at(e)] *= in[at(index.input(e))] * out[at(index.output(e))];
  }
  return squared_difference(evened, rounded) * kUnusual < plain ? evened : same;
}

}  // namespace nibble
