// What a weight's scales must keep to so that the runtime's integers hold its sums. A guard looks
// at the codes that a rounding method made, whichever, and makes scales coarser where they have to
// be.
#pragma once

#include <span>
#include <vector>

#include "nibble/quantize.h"
#include "ops/roles.h"
#include "ops/weight_pairs.h"

namespace nibble {

/// Scales such that the accumulator of every channel fits int32, and such that a channel without
/// weights can represent its bias.
class AccumulatorGuard {
 public:
  AccumulatorGuard(const QuantParams& input, std::span<const float> bias);

  /// Changes the scales that `codes` show to be too small; false if none is. A scale may shrink,
  /// for the bias of a channel without weights, only where `may_shrink`.
  bool widen(const Tensor& codes, const WeightIndex& index, QuantParams& params,
             bool may_shrink) const;

 private:
  double wanted_scale(double sum, size_t channel, double scale, bool may_shrink) const;

  double step_;
  double reach_;
  double least_;  // scale whose product with step_ is a normal float: the bias has it
  std::span<const float> bias_;
};

/// Scales such that no two products that meet in 16 bits (nibble/pair_order.h) leave them, for any
/// data from code 0 to `greatest_code`.
class PairGuard {
 public:
  PairGuard() = default;  // everything is safe
  PairGuard(const Node& node, const Shape& weight, std::span<const PairOrder> orders,
            int32_t greatest_code);
  PairGuard(std::vector<WeightPairs> pairs, int32_t greatest_code);

  /// Widens the scales of the channels that hold an unsafe pair to the least at which rounding to
  /// nearest leaves none; false if all pairs are safe. `params`: zero point 0, per channel or per
  /// tensor.
  bool widen(const Tensor& weight, const Tensor& codes, QuantParams& params) const;

 private:
  std::vector<WeightPairs> pairs_;
  int32_t greatest_code_ = 0;
};

/// In which orders the target of these options adds pairs in 16 bits; none if the scales need not
/// keep to that.
std::vector<PairOrder> pair_orders(const QuantizeOptions& options);

}  // namespace nibble
