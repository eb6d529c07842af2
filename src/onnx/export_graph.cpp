#include "onnx/export_graph.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "onnx/notes.h"

namespace nibble {
namespace {

template <typename M>
void restore(M& message, const std::string& opaque) {
  check(opaque.empty() || parse_proto(message, opaque), "the file's notes are damaged");
}

void write_type(const Value& value, schema::ValueInfoProto& info) {
  if (value.type.dtype == DType::undefined) return;
  schema::TypeProto::Tensor& tensor = info.type.edit().tensor_type.edit();
  tensor.elem_type = onnx_data_type(value.type.dtype);
  const Shape& shape = value.type.shape;
  if (!shape.has_rank()) return tensor.shape.clear();
  schema::TensorShapeProto& dims = tensor.shape.edit();
  // No denotations, or those of another shape.
  if (std::ssize(dims.dim) != shape.rank()) dims.dim.clear();
  dims.dim.resize(static_cast<size_t>(shape.rank()));
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto i = static_cast<size_t>(axis);
    auto& dim = dims.dim[i];
    if (shape[axis] >= 0) {
      dim.dim_value = shape[axis];
    } else if (i < value.dim_names.size() && !value.dim_names[i].empty()) {
      dim.dim_param = value.dim_names[i];
    }
  }
}

void write_value_info(const Graph& graph, ValueId id, schema::ValueInfoProto& info) {
  const Value& value = graph.value(id);
  restore(info, OnnxNotes::of(graph, id).declaration);
  info.name = value.name;
  write_type(value, info);
}

void write_initializer(const Graph& graph, ValueId id, schema::TensorProto& tensor) {
  const Value& value = graph.value(id);
  restore(tensor, OnnxNotes::of(graph, id).storage);
  tensor.name = value.name;
  tensor_to_proto(value.data, tensor);
}

struct AttributeWriter {
  schema::AttributeProto& proto;
  using Proto = schema::AttributeProto;

  void operator()(int64_t value) const {
    proto.type = Proto::INT;
    proto.i = value;
  }
  void operator()(float value) const {
    proto.type = Proto::FLOAT;
    proto.f = value;
  }
  void operator()(const std::string& value) const {
    proto.type = Proto::STRING;
    proto.s = value;
  }
  void operator()(const Tensor& value) const {
    proto.type = Proto::TENSOR;
    tensor_to_proto(value, proto.t.edit());
  }
  void operator()(const std::shared_ptr<const Graph>& value) const {
    proto.type = Proto::GRAPH;
    write_graph(*value, proto.g.edit(), true);
  }
  void operator()(const std::vector<int64_t>& value) const {
    proto.type = Proto::INTS;
    proto.ints = value;
  }
  void operator()(const std::vector<float>& value) const {
    proto.type = Proto::FLOATS;
    proto.floats = value;
  }
  void operator()(const std::vector<std::string>& value) const {
    proto.type = Proto::STRINGS;
    proto.strings = value;
  }
  void operator()(const OpaqueAttribute& value) const { restore(proto, value.bytes); }
};

void write_node(const Graph& graph, NodeId id, schema::NodeProto& proto) {
  const Node& node = graph.node(id);
  restore(proto, OnnxNotes::of(graph, id).rest);
  std::vector<schema::AttributeProto> rests;  // doc strings and the like
  rests.swap(proto.attribute);
  proto.op_type = node.op;
  proto.name = node.name;
  if (!node.domain.empty()) proto.domain = node.domain;
  const auto name_of = [&](ValueId value) {
    return value ? graph.value(value).name : std::string();
  };
  for (ValueId input : node.inputs) proto.input.push_back(name_of(input));
  for (ValueId output : node.outputs) proto.output.push_back(name_of(output));
  for (const auto& [name, value] : node.attributes) {
    schema::AttributeProto& attribute = proto.attribute.emplace_back();
    const auto rest = find_attribute(rests, name);
    if (rest != rests.end()) attribute = *rest;
    attribute.name = name;
    std::visit(AttributeWriter{attribute}, value);
  }
}

// A constant of an element type that Nibble has not, which the reader turned into a node.
bool write_opaque_initializer(const Graph& graph, NodeId id, schema::GraphProto& proto) {
  if (!OnnxNotes::of(graph, id).is_initializer) return false;
  const Node& node = graph.node(id);
  schema::AttributeProto attribute;
  restore(attribute, std::get<OpaqueAttribute>(*node.attributes.find("value")).bytes);
  schema::TensorProto& tensor = proto.initializer.emplace_back();
  tensor = std::move(attribute.t.edit());
  tensor.name = graph.value(node.outputs[0]).name;
  return true;
}

}  // namespace

void write_graph(const Graph& graph, schema::GraphProto& proto, bool constants_as_inputs) {
  restore(proto, OnnxNotes::of_graph(graph));
  proto.name = graph.name;
  for (ValueId id : graph.inputs) write_value_info(graph, id, proto.input.emplace_back());
  for (ValueId id : graph.outputs) write_value_info(graph, id, proto.output.emplace_back());
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const ValueId id{i};
    check(!graph.value(id).type.quant, "write_graph: a value still has a quantized type");
    if (!graph.value(id).is_constant()) continue;
    write_initializer(graph, id, proto.initializer.emplace_back());
    if (constants_as_inputs && OnnxNotes::of(graph, id).is_input) {
      write_value_info(graph, id, proto.input.emplace_back());
    }
  }
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (write_opaque_initializer(graph, id, proto)) continue;
    write_node(graph, id, proto.node.emplace_back());
    for (ValueId output : node.outputs) {
      if (!output || graph.is_output(output)) continue;
      // What the file did not say, runtimes infer.
      if (OnnxNotes::of(graph, output).declaration.empty()) continue;
      write_value_info(graph, output, proto.value_info.emplace_back());
    }
  }
}

}  // namespace nibble
