// Writing models: Graph -> QDQ form -> ModelProto -> bytes.
#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "nibble/onnx.h"
#include "onnx/export_graph.h"
#include "onnx/proto.h"
#include "onnx/raise_opset.h"
#include "passes/insert_qdq.h"
#include "passes/pass.h"

namespace nibble {
namespace {

bool has_quantized_types(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (graph.value({i}).type.quant) return true;
  }
  return false;
}

// After insert_qdq: what the integer operators and the stored integers need.
int needed_opset_of_nodes(const Graph& graph) {
  int opset = 0;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.domain.empty()) continue;
    opset = std::max(opset, opset_of_integer_operator(node.op));
    const bool quantizes = node.op == "QuantizeLinear";
    if (!quantizes && node.op != "DequantizeLinear") continue;
    const ValueId codes = quantizes ? node.outputs[0] : node.inputs[0];
    if (!codes || !is_integer(graph.value(codes).type.dtype)) continue;
    QuantParams quant{.storage = graph.value(codes).type.dtype};
    if (node.attributes.has("axis")) quant.granularity = Granularity::per_channel;
    if (node.attributes.integer("block_size", 0) > 0) quant.granularity = Granularity::per_block;
    opset = std::max(opset, opset_for(quant));
  }
  return opset;
}

// From IR version 4 on, an initializer that is also an input may be overridden by the caller, and
// runtimes then do not treat it as a constant; before, all initializers had to be listed.
void settle_ir_version(Graph& graph) {
  graph.ir_version = std::max(graph.ir_version, ir_version_for(graph.opset()));
  graph.overridable_constants.clear();
}

bool lists_all_constants(const Graph& graph) {
  size_t constants = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    constants += graph.value({i}).is_constant() ? 1 : 0;
  }
  return constants == graph.overridable_constants.size();
}

void write_model(const Graph& graph, onnx::ModelProto& proto) {
  check(graph.opaque_model_fields.empty() || parse_proto(proto, graph.opaque_model_fields),
        "opaque model fields are damaged");
  proto.set_ir_version(graph.ir_version);
  if (!graph.producer_name.empty()) proto.set_producer_name(graph.producer_name);
  if (!graph.producer_version.empty()) proto.set_producer_version(graph.producer_version);
  for (const auto& [domain, version] : graph.opsets) {
    auto& import = *proto.add_opset_import();
    if (!domain.empty()) import.set_domain(domain);
    import.set_version(version);
  }
  if (graph.opsets.empty()) proto.add_opset_import()->set_version(graph.opset());
  for (const auto& [key, value] : graph.metadata) {
    auto& entry = *proto.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  write_graph(graph, *proto.mutable_graph());
}

}  // namespace

std::string serialize_onnx(const Graph& source, const Target& target) {
  Graph graph = source;
  if (const auto reason = why_not_written(graph, target))
    fail(ErrorCode::unsupported, "{}", *reason);
  const bool typed = has_quantized_types(graph);
  if (typed) insert_qdq(graph, target);
  const int opset = needed_opset_of_nodes(graph);
  if (typed || opset > graph.opset()) {
    raise_opset(graph, opset);
    settle_ir_version(graph);
  } else if (graph.ir_version < 4 && !lists_all_constants(graph)) {
    graph.ir_version = 4;
    graph.overridable_constants.clear();
  }
  onnx::ModelProto proto;
  write_model(graph, proto);
  return serialize_proto(proto);
}

void save_onnx(const Graph& graph, const std::filesystem::path& path, const Target& target) {
  with_context([&] { return fmt::format("saving {}", path.string()); },
               [&] { write_file(path, serialize_onnx(graph, target)); });
}

}  // namespace nibble
