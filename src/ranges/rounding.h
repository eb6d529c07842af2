// Rounding methods: from a weight and its grid to its codes.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "nibble/ranges.h"

namespace nibble {

/// What a method has to know beyond the weight and its grid.
enum class RoundingNeed : uint8_t {
  nothing,
  layer_samples,  // the layer's data and results; second moments of the data are sums over these
};

/// The samples of a layer, which stream: a method keeps what it wants of them.
class LayerSamples {
 public:
  virtual ~LayerSamples() = default;
  using Visitor = std::function<void(const Tensor& data, const Tensor& result)>;
  /// Calls `visit` with the data of each batch and the float network's result for it, without an
  /// activation behind the layer. The tensors are borrowed.
  virtual void visit(const Visitor& visit) const = 0;
};

/// One weight to be rounded. The grid has zero point 0.
struct WeightToRound {
  const Tensor& weight;  // f32, finite
  const QuantParams& params;
  const Node* node = nullptr;             // the layer, of a row that needs its samples
  const LayerSamples* samples = nullptr;  // likewise
};

/// What is rounded at once, in execution order.
struct RoundingScope {
  std::span<const WeightToRound> weights;
};

/// A rounding method. Its row stands in a file of src/ranges/roundings/; one that needs a module
/// above, as those that train do, stands there and registers itself.
struct RoundingRow {
  std::string_view name;
  std::string_view summary;
  RoundingNeed need = RoundingNeed::nothing;
  /// The codes of each weight of the scope, in its storage type, from qmin to qmax.
  std::vector<Tensor> (*round)(const RoundingScope& scope, ThreadPool& pool) = nullptr;
};

/// By name.
std::span<const RoundingRow> roundings();
/// Throws Error{invalid_argument} naming those that there are.
const RoundingRow& find_rounding(std::string_view name);

/// Adds a row of a module above while the program or a library is loaded, before any thread asks
/// for rows.
struct RoundingRegistration {
  explicit RoundingRegistration(const RoundingRow& row);
};

/// The codes of one weight by a method that needs nothing else.
Tensor round_weight(const RoundingRow& rounding, const Tensor& weight, const QuantParams& params,
                    ThreadPool& pool);

}  // namespace nibble
