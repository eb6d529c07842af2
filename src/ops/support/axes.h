// Axes, and integer lists that are an attribute in some opsets and an input in others. Errors do
// not name the node: the caller (infer_types, the runtime) adds it as context.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace nibble {

/// `axis` in [-rank, rank) as an axis in [0, rank). Throws Error{invalid_model}. `rank` may be one
/// more than the tensor's where an operator allows its end (Flatten, Unsqueeze).
int normalize_axis(int64_t axis, int rank);

/// A set of axes without heap memory.
class AxisSet {
 public:
  void insert(int axis) { bits_ |= 1U << axis; }
  bool contains(int axis) const { return (bits_ >> axis & 1U) != 0; }
  bool empty() const { return bits_ == 0; }
  int count() const { return __builtin_popcount(bits_); }
  static AxisSet all(int rank);

 private:
  uint32_t bits_ = 0;
};

/// The axes as a set. Throws Error{invalid_model} for an axis out of range or given twice.
AxisSet normalize_axes(std::span<const int64_t> axes, int rank);

/// The values of an integer tensor (any width, scalars included) as int64.
std::vector<int64_t> to_int64s(const Tensor& tensor);

/// A list of integers that is input `input` of the node in newer opsets and the attribute `name` in
/// older ones. When running: nullopt if the node has neither.
std::optional<std::vector<int64_t>> integers_of(const EvalContext& context, size_t input,
                                                std::string_view name);

/// The same when types are inferred.
struct KnownIntegers {
  bool given = false;  // the node has the input or the attribute
  bool known = true;   // false: it has the input, but its value is not known yet
  std::vector<int64_t> values;
};
KnownIntegers integers_of(const NodeTypes& types, size_t input, std::string_view name);

}  // namespace nibble
