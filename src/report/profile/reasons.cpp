#include "report/profile/reasons.h"

#include <map>
#include <utility>

#include "nibble/quantize.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "passes/insert_qdq.h"

namespace nibble {
namespace {

// What inspect_nodes() says of nodes without an operator's own reason, and what helps.
struct Remedy {
  std::string_view reason;  // begins so
  std::string_view remedy;
};
constexpr Remedy kRemedies[] = {
    {"does not lie between quantized layers", "a quantized layer before it and one behind it"},
    {"gives an output", "nothing: results are wanted in reals"},
    {"works on integers", "nothing: it computes no reals"},
};

std::string remedy_for(const std::string& reason) {
  for (const Remedy& row : kRemedies) {
    if (reason.starts_with(row.reason)) return std::string(row.remedy);
  }
  return "nothing yet: Nibble has no integer kernel for it";
}

// What the file says of a layer's weight and data.
struct Stored {
  bool weight = false;  // quantized
  bool data = false;    // likewise
};

struct Layers {
  std::map<std::string, Stored> stored;         // layers with weights, by path and name
  std::map<std::string, NodeSupport> verdicts;  // what quantize() would do, of every node
  bool quantized = false;
};

Layers layers_of(const Graph& graph) {
  Layers layers{.stored = {}, .verdicts = {}, .quantized = is_quantized(graph)};
  Graph copy = graph;
  const OpenGraphs open(copy);
  for (const auto& scope : open.all()) {
    hand_constants_to_bodies(*scope->graph);
    const Graph& one = *scope->graph;
    for (const NodeId id : one.nodes()) {
      const Node& node = one.node(id);
      if (!has_weight(one, node)) continue;
      const auto typed = [&](ValueId value) {
        return value && one.value(value).type.quant.has_value();
      };
      layers.stored[scope->path + node.name] = {typed(weight_of(node)), typed(data_of(node))};
    }
  }
  for (NodeSupport& node : inspect_nodes(graph)) {
    std::string name = node.node;
    layers.verdicts.emplace(std::move(name), std::move(node));
  }
  return layers;
}

bool multiplies(StepKind kind) {
  return kind == StepKind::convolution || kind == StepKind::depthwise ||
         kind == StepKind::product || kind == StepKind::recurrent;
}

void explain(ProfiledStep& step, const Layers& layers) {
  const auto say = [&](std::string why, std::string remedy) {
    step.why_float = std::move(why);
    step.remedy = std::move(remedy);
  };
  const auto verdict = layers.verdicts.find(step.step.node);
  if (verdict == layers.verdicts.end()) {
    return say("was made when the model was compiled, between steps on reals",
               "quantized layers around it");
  }
  const NodeSupport& node = verdict->second;
  const auto layer = layers.stored.find(step.step.node);
  const bool is_layer = layer != layers.stored.end();
  if (multiplies(step.step.kind) && !step.step.read_bytes && layers.quantized) {
    return say(
        "its sizes are known only while running, and kernels are made for sizes known before",
        "a model whose sizes do not hang on its data");
  }
  if (is_layer && layer->second.weight && !layer->second.data) {
    return say("its weight is quantized and its data are not, so it multiplies reals",
               "data in 8 bits as well (--activations 8)");
  }
  if (is_layer && layer->second.weight && !step.step.refused.empty()) {
    return say("its weight and its data are quantized, but no integer kernel takes them",
               "what the kernel says: " + step.step.refused.front());
  }
  if (!node.quantizable) return say(node.reason, remedy_for(node.reason));
  if (!layers.quantized) return say("no layer of the model is quantized", "nibble quantize");
  if (is_layer) return say("its weight is in float", "quantizing it too (without --skip)");
  say("does not lie between quantized layers",
      "quantizing the layers around it too (without --skip)");
}

}  // namespace

void explain_float_steps(const Graph& graph, std::vector<ProfiledStep>& steps) {
  const Layers layers = layers_of(graph);
  for (ProfiledStep& step : steps) {
    if (step.step.arithmetic == DType::f32 && computes(step.step.kind)) explain(step, layers);
  }
}

}  // namespace nibble
