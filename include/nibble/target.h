// The runtimes that files are written for.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/choice.h"
#include "nibble/graph.h"
#include "nibble/pair_order.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What a file made for a runtime must keep to, so that the runtime reads it and computes what it
/// means. One row per runtime, in its file in src/passes/targets/.
struct Target {
  std::string_view name;     // as in --target
  std::string_view title;    // as in sentences
  std::string_view summary;  // for help
  /// Activations are signed with zero point 0, [-127, 127] at 8 bits; else unsigned with any zero
  /// point, which wastes no codes.
  bool symmetric_activations = false;
  /// It has DynamicQuantizeLinear, MatMulInteger, ConvInteger, QLinearConv, QLinearMatMul.
  bool integer_operators = true;
  /// Smallest element type that weights are stored in: 2, 4 or 8 bits.
  int least_weight_bits = 2;
  /// The same for weights that are not quantized in blocks.
  int least_unblocked_weight_bits = 2;
  /// Largest element type of quantized weights and activations.
  int most_bits = 16;
  /// It computes with weights of unsigned codes in integers; off: in floats, or not at all.
  bool unsigned_weights = true;
  /// Biases are int32 constants behind DequantizeLinear; off: plain floats.
  bool integer_bias = true;
  /// In which orders its kernels for x86 CPUs without VNNI add products of unsigned data and signed
  /// weights in pairs of 16 bits, which saturate. Empty: they do not.
  std::vector<PairOrder> pair_orders = {};
  /// In MatMulInteger too. (None does so in ConvInteger.)
  bool pairs_in_dynamic_products = false;
  /// Weights of 2 bits that it does not compute with: they are stored in 4. Null: none.
  std::set<ValueId> (*weights_above_two_bits)(const Graph& graph) = nullptr;
};
std::span<const Target> targets();
/// Throws Error{invalid_argument} naming those that there are.
const Target& find_target(std::string_view name);
std::vector<Choice> target_choices();
/// ONNX Runtime.
const Target& default_target();

/// Why a file of this typed graph cannot be written for the runtime, in sentences that say what to
/// do; none if it can.
std::vector<std::string> reasons_not_written(const Graph& graph, const Target& target);
/// The first of them; nullopt if there is none.
std::optional<std::string> why_not_written(const Graph& graph, const Target& target);

}  // namespace nibble
#pragma GCC visibility pop
