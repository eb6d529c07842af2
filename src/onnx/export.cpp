// Writing models: Graph -> QDQ form -> ModelProto -> bytes.
#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "nibble/onnx.h"
#include "onnx/expand/expand.h"
#include "onnx/export_graph.h"
#include "onnx/external_data.h"
#include "onnx/model_size.h"
#include "onnx/narrow_constants.h"
#include "onnx/notes.h"
#include "onnx/proto.h"
#include "onnx/raise_opset.h"
#include "passes/insert_qdq.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// After insert_qdq: what the integer operators and the stored integers need, and what operators do
// that were made when the model was read.
int needed_opset_of_nodes(const Graph& graph) {
  int opset = 0;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for_each_body(node,
                  [&](const Graph& body) { opset = std::max(opset, needed_opset_of_nodes(body)); });
    if (!node.domain.empty()) continue;
    opset = std::max({opset, opset_of_integer_operator(node.op), opset_of_part(node.op)});
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

bool lists_all_constants(const Graph& graph) {
  bool all = true;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    all = all && (!graph.value({i}).is_constant() || OnnxNotes::of(graph, ValueId{i}).is_input);
  }
  return all;
}

// What the ModelProto held that is not the graph's; for a graph that came from no file, our own.
schema::ModelProto model_of(const Graph& graph) {
  schema::ModelProto proto;
  const std::string& notes = OnnxNotes::of_model(graph);
  check(notes.empty() || parse_proto(proto, notes), "the file's notes are damaged");
  if (notes.empty()) proto.producer_name = "nibble";
  if (!proto.ir_version.has()) proto.ir_version = ir_version_for(graph.opset());
  return proto;
}

// `rewritten`: the file gets types or operators that its own version may not know.
//
// From IR version 4 on, an initializer that is also an input may be overridden by the caller, and
// runtimes then do not treat it as a constant; before, all initializers had to be listed.
void write_model(const Graph& graph, bool rewritten, schema::ModelProto& proto) {
  bool constants_as_inputs = !rewritten;
  if (rewritten) {
    proto.ir_version = std::max(*proto.ir_version, ir_version_for(graph.opset()));
  } else if (*proto.ir_version < 4 && !lists_all_constants(graph)) {
    proto.ir_version = 4;
    constants_as_inputs = false;
  }
  for (const auto& [domain, version] : graph.opsets) {
    auto& import = proto.opset_import.emplace_back();
    if (!domain.empty()) import.domain = domain;
    import.version = version;
  }
  if (graph.opsets.empty()) proto.opset_import.emplace_back().version = graph.opset();
  for (const auto& [key, value] : graph.metadata) {
    auto& entry = proto.metadata_props.emplace_back();
    entry.key = key;
    entry.value = value;
  }
  write_graph(graph, proto.graph.edit(), constants_as_inputs);
}

}  // namespace

OnnxOrigin onnx_origin(const Graph& graph) {
  const schema::ModelProto proto = model_of(graph);
  return {.ir_version = *proto.ir_version, .producer = *proto.producer_name};
}

namespace {

schema::ModelProto to_proto(const Graph& source, const Target& target) {
  Graph graph = source;
  if (const auto reason = why_not_written(graph, target))
    fail(ErrorCode::unsupported, "{}", *reason);
  const bool typed = is_quantized(graph);
  if (typed) insert_qdq(graph, target);
  narrow_constants(graph);
  const int opset = needed_opset_of_nodes(graph);
  const bool rewritten = typed || opset > graph.opset();
  if (rewritten) raise_opset(graph, opset);
  schema::ModelProto proto = model_of(graph);
  write_model(graph, rewritten, proto);
  return proto;
}

}  // namespace

std::string serialize_onnx(const Graph& graph, const Target& target) {
  return serialize_proto(to_proto(graph, target));
}

int64_t size_as_onnx(const Graph& graph, const Target& target) {
  return static_cast<int64_t>(proto_size(to_proto(graph, target)));
}

void save_onnx(const Graph& graph, const std::filesystem::path& path, const Target& target) {
  save_onnx_within(graph, path, target, kMostBytesOfModel);
}

void save_onnx_within(const Graph& graph, const std::filesystem::path& path, const Target& target,
                      size_t most_bytes) {
  with_context([&] { return fmt::format("saving {}", path.string()); },
               [&] {
                 schema::ModelProto proto = to_proto(graph, target);
                 if (proto_size(proto) > most_bytes) {
                   check_writable(path);
                   const std::string name = path.filename().string() + ".data";
                   const std::string data = take_out_data(proto.graph.edit(), name);
                   write_file(path.parent_path() / name, data);
                 }
                 write_file(path, serialize_proto(proto));
               });
}

}  // namespace nibble
