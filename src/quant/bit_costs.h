// What the options of layers cost in the unit of a budget.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nibble/quantize.h"
#include "quant/candidates.h"

namespace nibble {

/// Bit operations of a network, by the bits of its layers: of each layer its multiplications times
/// the bits of both factors, 32 of what is in float. UNIQ (arXiv:1804.10969) counts the additions
/// of the accumulator besides; as most later work (arXiv:2005.07093), this does not.
class BitOperations {
 public:
  /// Of a graph that is prepared.
  BitOperations(const Graph& graph, const Candidates& candidates, const ChooseOptions& options);

  /// A layer whose multiplications depend on a size that the model leaves open; then nothing below
  /// is known.
  const std::optional<std::string>& unknown() const { return unknown_; }
  int64_t of(size_t layer, int weight_bits) const;
  /// Of what has no choice and is no layer of the candidates.
  int64_t fixed() const { return fixed_; }
  std::optional<double> of_network(const std::vector<size_t>& chosen) const;

 private:
  const Candidates& candidates_;
  std::vector<int64_t> macs_;  // by layer
  int64_t fixed_ = 0;
  std::optional<std::string> unknown_;
};

struct Costs {
  int64_t fixed = 0;                     // that no choice changes
  int64_t limit = 0;                     // for all together
  std::vector<std::vector<int64_t>> of;  // by layer and option
  int64_t available() const { return limit - fixed; }
};
/// In bits of weights, bytes of the file or bit operations. Throws Error{invalid_argument} for bit
/// operations that are not known. Not of a latency.
Costs find_costs(const Budget& budget, const Candidates& candidates, const Variants& variants,
                 const BitOperations& operations, const ChooseOptions& options);

/// Throws Error{invalid_argument}, saying what can be had.
[[noreturn]] void refuse(const Budget& budget, const Costs& costs, const Candidates& candidates);

}  // namespace nibble
