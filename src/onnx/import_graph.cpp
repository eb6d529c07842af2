#include "onnx/import_graph.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "onnx/notes.h"

namespace nibble {
namespace {

// Takes the elements out of a tensor; its name, doc string and metadata stay.
void clear_elements(onnx::TensorProto& tensor) {
  tensor.clear_dims();
  tensor.clear_data_type();
  tensor.clear_float_data();
  tensor.clear_int32_data();
  tensor.clear_string_data();
  tensor.clear_int64_data();
  tensor.clear_double_data();
  tensor.clear_uint64_data();
  tensor.clear_raw_data();
  tensor.clear_external_data();
  tensor.clear_data_location();
}

// What is left of a message after the known fields were cleared; empty if nothing is.
std::string leftover(const google::protobuf::MessageLite& message) {
  return message.ByteSizeLong() == 0 ? std::string() : serialize_proto(message);
}

std::string normal_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}

onnx::AttributeProto::AttributeType type_of(const onnx::AttributeProto& proto) {
  using Proto = onnx::AttributeProto;
  if (proto.has_type() && proto.type() != Proto::UNDEFINED) return proto.type();
  // IR version 1 had no type field.
  if (proto.has_f()) return Proto::FLOAT;
  if (proto.has_i()) return Proto::INT;
  if (proto.has_s()) return Proto::STRING;
  if (proto.has_t()) return Proto::TENSOR;
  if (proto.has_g()) return Proto::GRAPH;
  if (proto.floats_size() > 0) return Proto::FLOATS;
  if (proto.ints_size() > 0) return Proto::INTS;
  if (proto.strings_size() > 0) return Proto::STRINGS;
  return Proto::UNDEFINED;
}

void clear_value(onnx::AttributeProto& proto) {
  proto.clear_type();
  proto.clear_f();
  proto.clear_i();
  proto.clear_s();
  proto.clear_g();
  proto.clear_floats();
  proto.clear_ints();
  proto.clear_strings();
  if (!proto.has_t()) return;
  clear_elements(*proto.mutable_t());
  if (proto.t().ByteSizeLong() == 0) proto.clear_t();
}

}  // namespace

Graph GraphReader::read(onnx::GraphProto& proto) {
  graph_.opsets = model_.opsets;
  graph_.name = proto.name();
  read_initializers(proto);
  read_inputs(proto);
  std::vector<Node> nodes(static_cast<size_t>(proto.node_size()));
  for (int i = 0; i < proto.node_size(); ++i) {
    Node& node = nodes[static_cast<size_t>(i)];
    node.op = proto.node(i).op_type();
    node.name = proto.node(i).name();
    node.domain = normal_domain(proto.node(i).domain());
    for (const std::string& name : proto.node(i).output()) {
      node.outputs.push_back(name.empty() ? ValueId{} : define(name, describe(node)));
    }
  }
  name_nodes(nodes);
  for (onnx::ValueInfoProto& info : *proto.mutable_value_info()) {
    const auto known = values_.find(info.name());
    if (known != values_.end()) read_value_info(info, known->second);
  }
  for (int i = 0; i < proto.node_size(); ++i) {
    Node& node = nodes[static_cast<size_t>(i)];
    with_context([&] { return describe(node); }, [&] { read_node(*proto.mutable_node(i), node); });
    const NodeId id = graph_.add_node(std::move(node));
    OnnxNotes::of(graph_, id).rest = leftover(proto.node(i));
  }
  for (onnx::ValueInfoProto& info : *proto.mutable_output()) {
    if (!knows(info.name())) {
      fail(ErrorCode::invalid_model, "output '{}' is never computed", info.name());
    }
    graph_.outputs.push_back(resolve(info.name()));
    read_value_info(info, graph_.outputs.back());
  }
  proto.clear_name();
  proto.clear_node();
  proto.clear_initializer();
  proto.clear_input();
  proto.clear_output();
  proto.clear_value_info();
  if (proto.sparse_initializer_size() > 0) {
    fail(ErrorCode::unsupported, "sparse initializer '{}' is not supported",
         proto.sparse_initializer(0).values().name());
  }
  OnnxNotes::of_graph(graph_) = leftover(proto);
  graph_.sort();
  return std::move(graph_);
}

ValueId GraphReader::define(const std::string& name, std::string_view what) {
  const auto [it, inserted] = values_.try_emplace(name);
  if (!inserted) {
    fail(ErrorCode::invalid_model, "{} defines '{}', which is already defined", what, name);
  }
  it->second = graph_.add_value(name, {});
  return it->second;
}

bool GraphReader::knows(const std::string& name) const {
  return values_.contains(name) || (outer_ != nullptr && outer_->knows(name));
}

// The value of that name; a value of an outer graph gets a stand-in here and becomes a capture.
ValueId GraphReader::resolve(const std::string& name) {
  const auto it = values_.find(name);
  if (it != values_.end()) return it->second;
  if (outer_ == nullptr || !outer_->knows(name)) {
    fail(ErrorCode::invalid_model, "it reads '{}', which nothing computes", name);
  }
  captures_.push_back(name);
  return define(name, "a subgraph");
}

void GraphReader::read_initializers(onnx::GraphProto& proto) {
  for (onnx::TensorProto& tensor : *proto.mutable_initializer()) {
    with_context([&] { return fmt::format("tensor '{}'", tensor.name()); },
                 [&] { read_initializer(tensor); });
  }
}

void GraphReader::read_initializer(onnx::TensorProto& tensor) {
  if (tensor.name().empty()) fail(ErrorCode::invalid_model, "an initializer has no name");
  const ValueId id = define(tensor.name(), "an initializer");
  std::optional<Tensor> data = tensor_from_proto(tensor, model_.directory);
  if (!data) {  // carried through a Constant node that the writer turns back
    onnx::AttributeProto attribute;
    attribute.set_name("value");
    attribute.set_type(onnx::AttributeProto::TENSOR);
    attribute.mutable_t()->Swap(&tensor);
    Node node{.op = "Constant", .name = attribute.t().name(), .outputs = {id}};
    node.attributes.set("value", OpaqueAttribute{serialize_proto(attribute)});
    OnnxNotes::of(graph_, graph_.add_node(std::move(node))).is_initializer = true;
    return;
  }
  Value& value = graph_.value(id);
  value.type = {.dtype = data->dtype(), .shape = data->shape(), .quant = {}};
  value.data = std::move(*data);
  const int type = tensor.data_type();
  tensor.clear_name();
  clear_elements(tensor);
  // Half precision becomes f32 (widen_half); where it did, the writer makes half of it again.
  const DType dtype = graph_.value(id).type.dtype;
  if (dtype == DType::f16 || dtype == DType::bf16) tensor.set_data_type(type);
  OnnxNotes::of(graph_, id).storage = leftover(tensor);
}

void GraphReader::read_inputs(onnx::GraphProto& proto) {
  std::unordered_set<std::string> listed;
  for (onnx::ValueInfoProto& info : *proto.mutable_input()) {
    const auto known = values_.find(info.name());
    if (known != values_.end() && listed.insert(info.name()).second) {  // an initializer
      if (graph_.value(known->second).is_constant()) {
        OnnxNotes::of(graph_, known->second).is_input = true;
      }
      continue;
    }
    listed.insert(info.name());
    graph_.inputs.push_back(define(info.name(), "an input"));
    read_value_info(info, graph_.inputs.back());
  }
}

// Types that are not tensors (sequences, maps, optionals) stay in the opaque fields; so do
// denotations.
void GraphReader::read_value_info(onnx::ValueInfoProto& info, ValueId id) {
  Value& value = graph_.value(id);
  if (value.is_constant() || value.type.dtype != DType::undefined) return;
  with_context([&] { return fmt::format("value '{}'", info.name()); },
               [&] {
                 if (info.type().has_tensor_type()) {
                   onnx::TypeProto::Tensor& tensor = *info.mutable_type()->mutable_tensor_type();
                   const std::optional<DType> dtype =
                       tensor.elem_type() == 0 ? std::nullopt : dtype_from_onnx(tensor.elem_type());
                   if (dtype) {
                     value.type.dtype = *dtype;
                     tensor.clear_elem_type();
                   }
                   bool denoted = false;
                   if (dtype && tensor.has_shape()) {
                     value.type.shape = Shape();
                     bool named = false;
                     for (auto& dim : *tensor.mutable_shape()->mutable_dim()) {
                       value.type.shape.push_back(dim.has_dim_value() && dim.dim_value() >= 0
                                                      ? dim.dim_value()
                                                      : Shape::kUnknown);
                       value.dim_names.push_back(dim.dim_param());
                       named = named || dim.has_dim_param();
                       dim.clear_value();
                       denoted = denoted || dim.ByteSizeLong() > 0;
                     }
                     if (!named) value.dim_names.clear();
                     if (!denoted) tensor.clear_shape();
                   }
                   if (tensor.ByteSizeLong() == 0) info.mutable_type()->clear_value();
                   if (info.type().ByteSizeLong() == 0) info.clear_type();
                 }
                 // With the name, so that it is not empty: writers tell by it what was declared.
                 OnnxNotes::of(graph_, id).declaration = leftover(info);
               });
}

void GraphReader::read_node(onnx::NodeProto& proto, Node& node) {
  if (node.domain == "nibble") {
    fail(ErrorCode::invalid_model, "its domain 'nibble' is one that Nibble keeps for itself");
  }
  for (const std::string& name : proto.input()) {
    node.inputs.push_back(name.empty() ? ValueId{} : resolve(name));
  }
  std::unordered_set<std::string> seen;
  google::protobuf::RepeatedPtrField<onnx::AttributeProto> rest;
  for (onnx::AttributeProto& attribute : *proto.mutable_attribute()) {
    const std::string name = attribute.name();
    if (!seen.insert(name).second) {
      fail(ErrorCode::invalid_model, "attribute '{}' stands twice", name);
    }
    with_context([&] { return fmt::format("attribute '{}'", name); },
                 [&] { read_attribute(attribute, node); });
    attribute.clear_name();
    if (attribute.ByteSizeLong() == 0) continue;
    attribute.set_name(name);
    rest.Add()->Swap(&attribute);
  }
  proto.mutable_attribute()->Swap(&rest);
  proto.clear_name();
  proto.clear_domain();
  proto.clear_op_type();
  proto.clear_input();
  proto.clear_output();
}

// Leaves in `proto` only what an Attribute does not hold: a doc string, a tensor's name.
void GraphReader::read_attribute(onnx::AttributeProto& proto, Node& node) {
  const std::string name = proto.name();
  node.attributes.set(name, attribute_value(proto, node));
  const bool opaque = std::holds_alternative<OpaqueAttribute>(*node.attributes.find(name));
  if (opaque) {
    proto.Clear();
  } else {
    clear_value(proto);
  }
}

Attribute GraphReader::attribute_value(onnx::AttributeProto& proto, Node& node) {
  using Proto = onnx::AttributeProto;
  const auto opaque = [&] { return OpaqueAttribute{serialize_proto(proto)}; };
  if (!proto.ref_attr_name().empty()) return opaque();
  switch (type_of(proto)) {
    case Proto::FLOAT:
      return proto.f();
    case Proto::INT:
      return proto.i();
    case Proto::STRING:
      return proto.s();
    case Proto::FLOATS:
      return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case Proto::INTS:
      return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case Proto::STRINGS:
      return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case Proto::GRAPH:
      return read_body(proto, node);
    case Proto::TENSOR: {
      std::optional<Tensor> tensor = tensor_from_proto(proto.t(), model_.directory);
      if (!tensor) return opaque();
      return std::move(*tensor);
    }
    default:
      return opaque();
  }
}

Attribute GraphReader::read_body(onnx::AttributeProto& proto, Node& node) {
  GraphReader reader(model_, this);
  auto body = std::make_shared<const Graph>(reader.read(*proto.mutable_g()));
  for (const std::string& name : reader.captures()) {
    const ValueId id = resolve(name);
    if (std::ranges::find(node.captures, id) == node.captures.end()) node.captures.push_back(id);
  }
  return body;
}

// Nodes without a name, or with one that an earlier node has, get one of their own.
void GraphReader::name_nodes(std::vector<Node>& nodes) {
  std::unordered_set<std::string> taken;
  for (const Node& node : nodes) taken.insert(node.name);
  std::unordered_set<std::string> used;
  size_t counter = 0;
  for (Node& node : nodes) {
    if (!node.name.empty() && used.insert(node.name).second) continue;
    const std::string stem = node.name.empty() ? node.op : node.name;
    do {
      node.name = fmt::format("{}_{}", stem, counter++);
    } while (!taken.insert(node.name).second);
    used.insert(node.name);
  }
}

}  // namespace nibble
