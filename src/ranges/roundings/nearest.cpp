// Each weight by itself to the nearest code, ties to the even one.
#include "ranges/roundings/list.h"

namespace nibble {
namespace {

std::vector<RoundedWeight> round_to_nearest(const RoundingScope& scope, ThreadPool&) {
  std::vector<RoundedWeight> rounded;
  for (const WeightToRound& one : scope.weights) {
    rounded.push_back({.codes = quantize_tensor(one.weight, one.params)});
  }
  return rounded;
}

}  // namespace

RoundingRow nearest_rounding() {
  return {
      .name = "nearest", .summary = "each weight to the nearest code", .round = round_to_nearest};
}

}  // namespace nibble
