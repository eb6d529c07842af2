// Pairs of weights whose products with unsigned bytes meet in 16 bits (nibble/pair_order.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "nibble/pair_order.h"
#include "ops/op.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The sums that a * x + b * y reaches for x and y from 0 to some greatest code, in weight units.
struct PairSum {
  int32_t above = 0;  // max(a, 0) + max(b, 0)
  int32_t below = 0;  // -min(a, 0) - min(b, 0)
};
constexpr PairSum pair_sum(int32_t a, int32_t b) {
  return {std::max(a, 0) + std::max(b, 0), -std::min(a, 0) - std::min(b, 0)};
}

/// The largest PairSum whose products with codes from 0 to `greatest_code` fit 16 bits: 128 for
/// 255, and more than any two int8 weights reach for 127 and less.
constexpr int32_t largest_pair_sum(int32_t greatest_code) {
  return greatest_code <= 0 ? 32767 : 32767 / greatest_code;
}
constexpr bool is_safe(const PairSum& sum, int32_t greatest_code) {
  return std::max(sum.above, sum.below) <= largest_pair_sum(greatest_code);
}

/// The order in which a weight's products are summed.
class WeightPairs {
 public:
  /// For the weight of a convolution, [O,I,k...] or transposed [I,O,k...], or of a matrix product,
  /// [...,K,N] or [N,K]. Transposed convolutions have no pairs in the order `flattened`: only
  /// oneDNN multiplies bytes for them.
  WeightPairs(const WeightAxes& axes, bool is_matrix, const Shape& weight, PairOrder order);
  /// Of a node with a weight.
  WeightPairs(const Node& node, const Shape& weight, PairOrder order);

  /// No two products meet: each group has one input and one output channel, or see above.
  bool none() const { return none_; }
  int64_t rows() const { return rows_; }      // output channels, of each matrix of a batch
  int64_t runs() const { return runs_; }      // of a row
  int64_t length() const { return length_; }  // of a run
  /// The output channel of a row.
  int64_t output(int64_t row) const { return row % channels_; }
  /// The element (row-major in the weight) that is number `i` of a run.
  int64_t element(int64_t row, int64_t run, int64_t i) const {
    if (fold_) return at(row, i % inputs_, i / inputs_);
    return at(row, i, run);
  }

  /// visit(output channel, first element, second element or -1), for every pair.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    if (none_) return;
    for (int64_t row = 0; row < rows_; ++row) {
      for (int64_t run = 0; run < runs_; ++run) {
        for (int64_t i = 0; i < length_; i += 2) {
          visit(output(row), element(row, run, i),
                i + 1 < length_ ? element(row, run, i + 1) : int64_t{-1});
        }
      }
    }
  }

 private:
  int64_t at(int64_t row, int64_t input, int64_t position) const {
    if (output_first_) return (row * inputs_ + input) * positions_ + position;
    return ((row / columns_ * inputs_ + input) * columns_ + row % columns_) * positions_ + position;
  }

  int64_t rows_ = 1, runs_ = 1, length_ = 1;
  int64_t channels_ = 1;                              // all output channels
  int64_t inputs_ = 1, columns_ = 1, positions_ = 1;  // of one group or matrix
  bool output_first_ = true, fold_ = true, none_ = false;
};

/// There are kernels that multiply the operator's constant weights by codes: Conv, ConvTranspose,
/// Gemm, MatMul.
bool multiplies_codes(const Node& node);

/// The largest number that the value can hold, where the nodes before it promise one (a Clip,
/// perhaps with views and pooling behind it).
std::optional<float> greatest_real(const Graph& graph, ValueId value);
/// The greatest code that such a value takes on a grid of unsigned codes.
int32_t greatest_code(const QuantParams& grid, std::optional<float> greatest);

/// What is unsafe in a weight.
struct UnsafePairs {
  int64_t pairs = 0;  // all
  int64_t unsafe = 0;
  int32_t worst = 0;  // the largest PairSum, either way
};
/// `codes`: weight minus zero point, in the weight's order.
UnsafePairs count_unsafe_pairs(const WeightPairs& pairs, std::span<const int32_t> codes,
                               int32_t greatest_code);

}  // namespace nibble
#pragma GCC visibility pop
