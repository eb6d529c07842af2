#include "quant/file_size.h"

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "passes/insert_qdq.h"

namespace nibble {
namespace {

int64_t model_bytes(const Graph& exported);

// A protobuf field of up to 127 bytes has two bytes of tag and length.
constexpr int64_t kField = 2;

int64_t text_bytes(const std::string& text) {
  return kField + static_cast<int64_t>(text.size()) + (text.size() > 127 ? 1 : 0);
}

int64_t attribute_bytes(const std::string& name, const Attribute& attribute) {
  constexpr int64_t kHeader = kField + 3;  // the attribute's own length, and its kind
  struct Sizes {
    int64_t operator()(int64_t) const { return 2; }
    int64_t operator()(float) const { return 5; }
    int64_t operator()(const std::string& text) const { return text_bytes(text); }
    int64_t operator()(const Tensor& tensor) const {
      return static_cast<int64_t>(tensor.bytes()) + 16;
    }
    int64_t operator()(const std::shared_ptr<const Graph>& body) const {
      return model_bytes(*body);
    }
    int64_t operator()(const std::vector<int64_t>& values) const {
      return 2 * static_cast<int64_t>(values.size());
    }
    int64_t operator()(const std::vector<float>& values) const {
      return 5 * static_cast<int64_t>(values.size());
    }
    int64_t operator()(const std::vector<std::string>& values) const {
      int64_t bytes = 0;
      for (const std::string& value : values) bytes += text_bytes(value);
      return bytes;
    }
    int64_t operator()(const OpaqueAttribute& opaque) const {
      return static_cast<int64_t>(opaque.bytes.size());
    }
  };
  return kHeader + text_bytes(name) + std::visit(Sizes{}, attribute);
}

// ValueInfoProto: name, element type, one small message per dimension.
int64_t value_info_bytes(const Value& value) {
  constexpr int64_t kTypes = 3 * kField + 2;
  int64_t bytes = kField + text_bytes(value.name) + kTypes + 4 * value.type.shape.rank();
  for (const std::string& dim : value.dim_names) bytes += static_cast<int64_t>(dim.size());
  return bytes;
}

int64_t initializer_bytes(const Value& value) {
  constexpr int64_t kHeader = 3 + 2 + 3;  // own length, element type, length of the data
  return kHeader + text_bytes(value.name) + 2 * value.data.shape().rank() +
         static_cast<int64_t>(value.data.bytes());
}

int64_t node_bytes(const Graph& graph, const Node& node) {
  int64_t bytes = kField + 1 + text_bytes(node.op) + text_bytes(node.name);
  for (const ValueId input : node.inputs) {
    bytes += input ? text_bytes(graph.value(input).name) : kField;
  }
  for (const ValueId output : node.outputs) {
    if (!output) continue;
    bytes += text_bytes(graph.value(output).name);
    if (graph.value(output).type.dtype != DType::undefined) {
      bytes += value_info_bytes(graph.value(output));
    }
  }
  for (const auto& [name, attribute] : node.attributes) bytes += attribute_bytes(name, attribute);
  return bytes;
}

// Of a graph without quantized types.
int64_t model_bytes(const Graph& exported) {
  int64_t bytes = 64 + static_cast<int64_t>(exported.notes.bytes());
  for (const auto& [key, value] : exported.metadata) {
    bytes += kField + text_bytes(key) + text_bytes(value);
  }
  for (const ValueId id : exported.inputs) bytes += value_info_bytes(exported.value(id));
  for (int32_t i = 0; i < exported.value_count(); ++i) {
    if (exported.value({i}).is_constant()) bytes += initializer_bytes(exported.value({i}));
  }
  for (const NodeId id : exported.nodes()) bytes += node_bytes(exported, exported.node(id));
  return bytes;
}

}  // namespace

std::map<std::string, int64_t> stored_weight_bytes(const Graph& graph, const Target& target) {
  Graph exported = graph;
  insert_qdq(exported, target);
  const OpenGraphs open(exported);
  std::map<std::string, int64_t> bytes;
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      const Node& node = scope->graph->node(id);
      const OpRow* row = find_op(node.op, node.domain);
      if (row == nullptr || !row->weights) continue;
      for (const size_t input : weight_inputs(node)) {
        if (!node.input(input)) continue;
        const auto [around, weight] = scope->origin(node.inputs[input]);
        const auto made_by = around->graph->producer(weight);
        if (!made_by || around->graph->node(*made_by).op != "DequantizeLinear") continue;
        const ValueId stored = around->graph->node(*made_by).inputs[0];
        const auto [holder, codes] = around->origin(stored);
        const Value& value = holder->graph->value(codes);
        if (value.is_constant()) {
          bytes[scope->path + node.name] += static_cast<int64_t>(value.data.bytes());
        }
      }
    }
  }
  return bytes;
}

int64_t estimate_file_bytes(const Graph& graph, const Target& target) {
  Graph exported = graph;
  insert_qdq(exported, target);
  return model_bytes(exported);
}

}  // namespace nibble
