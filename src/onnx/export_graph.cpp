#include "onnx/export_graph.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "onnx/notes.h"

namespace nibble {
namespace {

void restore(google::protobuf::MessageLite& message, const std::string& opaque) {
  check(opaque.empty() || parse_proto(message, opaque), "the file's notes are damaged");
}

void write_type(const Value& value, onnx::ValueInfoProto& info) {
  if (value.type.dtype == DType::undefined) return;
  onnx::TypeProto::Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx_data_type(value.type.dtype));
  const Shape& shape = value.type.shape;
  if (!shape.has_rank()) return tensor.clear_shape();
  onnx::TensorShapeProto& dims = *tensor.mutable_shape();
  if (dims.dim_size() != shape.rank())
    dims.clear_dim();  // no denotations, or those of another shape
  for (int axis = 0; axis < shape.rank(); ++axis) {
    auto& dim = axis < dims.dim_size() ? *dims.mutable_dim(axis) : *dims.add_dim();
    const auto i = static_cast<size_t>(axis);
    if (shape[axis] >= 0) {
      dim.set_dim_value(shape[axis]);
    } else if (i < value.dim_names.size() && !value.dim_names[i].empty()) {
      dim.set_dim_param(value.dim_names[i]);
    }
  }
}

void write_value_info(const Graph& graph, ValueId id, onnx::ValueInfoProto& info) {
  const Value& value = graph.value(id);
  restore(info, OnnxNotes::of(graph, id).declaration);
  info.set_name(value.name);
  write_type(value, info);
}

void write_initializer(const Graph& graph, ValueId id, onnx::TensorProto& tensor) {
  const Value& value = graph.value(id);
  restore(tensor, OnnxNotes::of(graph, id).storage);
  tensor.set_name(value.name);
  tensor_to_proto(value.data, tensor);
}

struct AttributeWriter {
  onnx::AttributeProto& proto;
  using Proto = onnx::AttributeProto;

  void operator()(int64_t value) const {
    proto.set_type(Proto::INT);
    proto.set_i(value);
  }
  void operator()(float value) const {
    proto.set_type(Proto::FLOAT);
    proto.set_f(value);
  }
  void operator()(const std::string& value) const {
    proto.set_type(Proto::STRING);
    proto.set_s(value);
  }
  void operator()(const Tensor& value) const {
    proto.set_type(Proto::TENSOR);
    tensor_to_proto(value, *proto.mutable_t());
  }
  void operator()(const std::shared_ptr<const Graph>& value) const {
    proto.set_type(Proto::GRAPH);
    write_graph(*value, *proto.mutable_g(), true);
  }
  void operator()(const std::vector<int64_t>& value) const {
    proto.set_type(Proto::INTS);
    proto.mutable_ints()->Add(value.begin(), value.end());
  }
  void operator()(const std::vector<float>& value) const {
    proto.set_type(Proto::FLOATS);
    proto.mutable_floats()->Add(value.begin(), value.end());
  }
  void operator()(const std::vector<std::string>& value) const {
    proto.set_type(Proto::STRINGS);
    for (const std::string& text : value) proto.add_strings(text);
  }
  void operator()(const OpaqueAttribute& value) const { restore(proto, value.bytes); }
};

void write_node(const Graph& graph, NodeId id, onnx::NodeProto& proto) {
  const Node& node = graph.node(id);
  restore(proto, OnnxNotes::of(graph, id).rest);
  google::protobuf::RepeatedPtrField<onnx::AttributeProto> rests;  // doc strings and the like
  rests.Swap(proto.mutable_attribute());
  proto.set_op_type(node.op);
  proto.set_name(node.name);
  if (!node.domain.empty()) proto.set_domain(node.domain);
  const auto name_of = [&](ValueId value) {
    return value ? graph.value(value).name : std::string();
  };
  for (ValueId input : node.inputs) proto.add_input(name_of(input));
  for (ValueId output : node.outputs) proto.add_output(name_of(output));
  for (const auto& [name, value] : node.attributes) {
    onnx::AttributeProto& attribute = *proto.add_attribute();
    const auto rest = std::ranges::find(rests, name, &onnx::AttributeProto::name);
    if (rest != rests.end()) attribute = *rest;
    attribute.set_name(name);
    std::visit(AttributeWriter{attribute}, value);
  }
}

// A constant of an element type that Nibble has not, which the reader turned into a node.
bool write_opaque_initializer(const Graph& graph, NodeId id, onnx::GraphProto& proto) {
  if (!OnnxNotes::of(graph, id).is_initializer) return false;
  const Node& node = graph.node(id);
  onnx::AttributeProto attribute;
  restore(attribute, std::get<OpaqueAttribute>(*node.attributes.find("value")).bytes);
  onnx::TensorProto& tensor = *proto.add_initializer();
  tensor.Swap(attribute.mutable_t());
  tensor.set_name(graph.value(node.outputs[0]).name);
  return true;
}

}  // namespace

void write_graph(const Graph& graph, onnx::GraphProto& proto, bool constants_as_inputs) {
  restore(proto, OnnxNotes::of_graph(graph));
  proto.set_name(graph.name);
  for (ValueId id : graph.inputs) write_value_info(graph, id, *proto.add_input());
  for (ValueId id : graph.outputs) write_value_info(graph, id, *proto.add_output());
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const ValueId id{i};
    check(!graph.value(id).type.quant, "write_graph: a value still has a quantized type");
    if (!graph.value(id).is_constant()) continue;
    write_initializer(graph, id, *proto.add_initializer());
    if (constants_as_inputs && OnnxNotes::of(graph, id).is_input) {
      write_value_info(graph, id, *proto.add_input());
    }
  }
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (write_opaque_initializer(graph, id, proto)) continue;
    write_node(graph, id, *proto.add_node());
    for (ValueId output : node.outputs) {
      if (!output || graph.is_output(output)) continue;
      // What the file did not say, runtimes infer.
      if (OnnxNotes::of(graph, output).declaration.empty()) continue;
      write_value_info(graph, output, *proto.add_value_info());
    }
  }
}

}  // namespace nibble
