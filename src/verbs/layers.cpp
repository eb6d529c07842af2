#include "verbs/layers.h"

#include "ops/roles.h"

namespace nibble {
namespace {

// Types that the file does not say are those of reals.
int bits_in(const TensorType& type) {
  if (type.dtype == DType::undefined) return 32;
  return type.quant ? type.quant->bits() : bits_of(type.dtype);
}

}  // namespace

std::vector<LayerState> layer_states(const Graph& graph) {
  std::vector<LayerState> layers;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!has_weight(graph, node)) continue;
    const ValueId data = data_of(node);
    for (const size_t input : weight_inputs(node)) {
      const ValueId weight = node.input(input);
      if (!weight || !graph.value(weight).is_constant()) continue;
      const TensorType& type = graph.value(weight).type;
      LayerState layer{.node = node.name,
                       .op = node.op,
                       .weight = graph.value(weight).name,
                       .shape = type.shape,
                       .weight_bits = bits_in(type),
                       .activation_bits = 32,
                       .weight_type = to_string(type),
                       .data_type = {}};
      if (data) {
        layer.activation_bits = bits_in(graph.value(data).type);
        if (graph.value(data).type.dtype != DType::undefined) {
          layer.data_type = to_string(graph.value(data).type);
        }
      }
      layers.push_back(std::move(layer));
    }
  }
  return layers;
}

}  // namespace nibble
