// Layers: do they run as integers, and do their biases fit?
#include "quant/layers.h"

#include <algorithm>
#include <cmath>

#include "ops/roles.h"
#include "verbs/checks/checks.h"

namespace nibble {
namespace {

void check_float_layers(const CheckedGraph& checked, Findings& findings) {
  const Graph& graph = checked.graph;
  int could = 0;
  std::string first;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!is_weighted(node) || !weight_of(node) || !data_of(node)) continue;
    const Value& weight = graph.value(weight_of(node));
    if (!weight.is_constant()) continue;
    const std::string name = checked.name(node);
    if (!weight.type.quant) {
      if (why_not_quantizable(graph, node)) continue;
      ++could;
      if (first.empty()) first = name;
      if (checked.quantized) {
        findings.add(name,
                     "{}: its weight '{}' is in float, though the layer can be quantized; quantize "
                     "it, unless accuracy needs it so",
                     name, weight.name);
      }
      continue;
    }
    const QuantParams& codes = *weight.type.quant;
    const bool for_integers = codes.granularity != Granularity::per_block && codes.bits() == 8;
    if (for_integers && !graph.value(data_of(node)).type.quant) {
      findings.add(name,
                   "{}: its weight is quantized and its data '{}' are not, so that it runs in "
                   "float; put QuantizeLinear and DequantizeLinear before it",
                   name, checked.name(data_of(node)));
    }
  }
  if (!checked.quantized && could > 0 && checked.path.empty()) {
    findings.add(first, "no layer is quantized, and {} could be, from {} on; use `nibble quantize`",
                 could, first);
  }
}

// Data, weight and bias of a layer that runs as integers.
struct IntegerLayer {
  const Node& node;
  const QuantParams& data;
  const QuantParams& weight;
  const Value& bias;
};

template <typename Visit>
void for_each_bias(const Graph& graph, const Visit& visit) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!is_weighted(node) || !weight_of(node) || !data_of(node) || !bias_of(node)) continue;
    const auto& data = graph.value(data_of(node)).type.quant;
    const auto& weight = graph.value(weight_of(node)).type.quant;
    const Value& bias = graph.value(bias_of(node));
    if (data && weight && bias.is_constant()) visit(IntegerLayer{node, *data, *weight, bias});
  }
}

void check_bias_type(const CheckedGraph& checked, Findings& findings) {
  const Target& target = checked.target;
  for_each_bias(checked.graph, [&](const IntegerLayer& layer) {
    const std::string name = checked.name(layer.node);
    if (!layer.bias.type.quant && target.integer_bias) {
      findings.add(name,
                   "{}: its bias '{}' is in float, so that {} may leave the layer in float; store "
                   "it in int32 with the scale of the data times that of the weight",
                   name, layer.bias.name, target.title);
    }
    if (layer.bias.type.quant && !target.integer_bias) {
      findings.add(name,
                   "{}: its bias '{}' is stored as {}, but {} takes biases in float; export "
                   "it with --target {}",
                   name, layer.bias.name, to_string(layer.bias.type), target.title, target.name);
    }
  });
}

// What a runtime adds to the sums is the bias's codes: their scale is that of the sums.
void check_bias_scale(const CheckedGraph& checked, Findings& findings) {
  for_each_bias(checked.graph, [&](const IntegerLayer& layer) {
    if (!layer.bias.type.quant) return;
    const std::vector<float>& scale = layer.bias.type.quant->scale;
    double worst = 0, expected = 0, found = 0;
    for (size_t c = 0; c < std::max(scale.size(), layer.weight.scale.size()); ++c) {
      const double want = static_cast<double>(layer.data.scale[0]) *
                          layer.weight.scale[c % layer.weight.scale.size()];
      const double have = scale[c % scale.size()];
      const double error = std::abs(have / want - 1);
      if (error <= worst) continue;
      worst = error;
      expected = want;
      found = have;
    }
    if (worst < 1e-4) return;
    const std::string name = checked.name(layer.node);
    findings.add(name,
                 "{}: a scale of its bias '{}' is {:.6g}, but that of the data times that of the "
                 "weight is {:.6g}; runtimes that add its codes to the sums are wrong by a factor "
                 "of {:.3g}: quantize the bias anew",
                 name, layer.bias.name, found, expected, found / expected);
  });
}

}  // namespace

const CheckRow kFloatLayer = {"float-layer", "layers that could run as integers do",
                              check_float_layers};
const CheckRow kBiasType = {"bias-type", "biases are stored as the target reads them",
                            check_bias_type};
const CheckRow kBiasScale = {
    "bias-scale", "the scale of an int32 bias is that of data times weight", check_bias_scale};

}  // namespace nibble
