// Small networks quantized on synthetic images, for the tests of quantize().
#pragma once

#include <stdexcept>
#include <string>

#include "nibble/quantize.h"
#include "quant/output_error.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble::testing {

inline const Value& value_named(const Graph& graph, const std::string& name) {
  const auto id = graph.find_value(name);
  if (!id) throw std::out_of_range("no value " + name);
  return graph.value(*id);
}

inline bool is_quantized(const Graph& graph, const std::string& name) {
  return value_named(graph, name).type.quant.has_value();
}

inline Synthetic images(int64_t count = 64) { return {count, {3, 6, 6}}; }

inline RangeReport ranges_of(const Graph& graph) { return analyze(graph, images()); }

inline Graph quantized(const Graph& graph, LayerBits bits, const QuantizeOptions& options = {}) {
  return quantize(graph, ranges_of(graph), {.fallback = bits, .layers = {}}, options);
}

inline double output_sqnr(const Graph& reference, const Graph& graph) {
  return output_sqnr(reference, graph, images(16));
}

}  // namespace nibble::testing
