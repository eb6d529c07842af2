#include "verbs/layers.h"

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// Types that the file does not say are those of reals.
int bits_in(const TensorType& type) {
  if (type.dtype == DType::undefined) return 32;
  return type.quant ? type.quant->bits() : bits_of(type.dtype);
}

// Not of sizes or indices.
bool is_table(const TensorType& type) { return is_float(type.dtype) && type.shape.rank() > 1; }

}  // namespace

std::vector<LayerState> layer_states(const Graph& graph) {
  std::vector<LayerState> layers;
  Graph copy = graph;
  infer_types(copy);  // files need not say the types of inner values
  const OpenGraphs open(copy);
  for (const auto& scope : open.all()) {
    const Graph& one = *scope->graph;
    for (const NodeId id : one.nodes()) {
      const Node& node = one.node(id);
      if (!is_weighted(node) && !stores_weight(node)) continue;
      const ValueId data = data_of(node);
      for (const size_t input : weight_inputs(node)) {
        if (!node.input(input)) continue;
        // Branches may share it.
        const auto [around, weight] = scope->origin(node.inputs[input]);
        const Value& value = around->graph->value(weight);
        if (!value.is_constant() || (stores_weight(node) && !is_table(value.type))) continue;
        LayerState layer{.node = scope->path + node.name,
                         .op = node.op,
                         .weight = around->path + value.name,
                         .shape = value.type.shape,
                         .weight_bits = bits_in(value.type),
                         .activation_bits = 32,
                         .weight_type = to_string(value.type),
                         .data_type = {}};
        if (data) {
          const TensorType& type = one.value(data).type;
          layer.activation_bits = bits_in(type);
          if (type.dtype != DType::undefined) layer.data_type = to_string(type);
        }
        layers.push_back(std::move(layer));
      }
    }
  }
  return layers;
}

}  // namespace nibble
