#include "onnx/import_graph.h"

#include <algorithm>
#include <memory>

#include "base/check.h"
#include "onnx/notes.h"

namespace nibble {
namespace {

// Takes the elements out of a tensor; its name, doc string and metadata stay.
void clear_elements(schema::TensorProto& tensor) {
  tensor.dims.clear();
  tensor.data_type.clear();
  tensor.float_data.clear();
  tensor.int32_data.clear();
  tensor.string_data.clear();
  tensor.int64_data.clear();
  tensor.double_data.clear();
  tensor.uint64_data.clear();
  tensor.raw_data.clear();
  tensor.external_data.clear();
  tensor.data_location.clear();
}

// What is left of a message after the known fields were cleared; empty if nothing is.
template <typename M>
std::string leftover(const M& message) {
  return proto_size(message) == 0 ? std::string() : serialize_proto(message);
}

std::string normal_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}

int type_of(const schema::AttributeProto& proto) {
  using Proto = schema::AttributeProto;
  if (proto.type.has() && *proto.type != Proto::UNDEFINED) return *proto.type;
  // IR version 1 had no type field.
  if (proto.f.has()) return Proto::FLOAT;
  if (proto.i.has()) return Proto::INT;
  if (proto.s.has()) return Proto::STRING;
  if (proto.t.has()) return Proto::TENSOR;
  if (proto.g.has()) return Proto::GRAPH;
  if (!proto.floats.empty()) return Proto::FLOATS;
  if (!proto.ints.empty()) return Proto::INTS;
  if (!proto.strings.empty()) return Proto::STRINGS;
  return Proto::UNDEFINED;
}

void clear_value(schema::AttributeProto& proto) {
  proto.type.clear();
  proto.f.clear();
  proto.i.clear();
  proto.s.clear();
  proto.g.clear();
  proto.floats.clear();
  proto.ints.clear();
  proto.strings.clear();
  if (!proto.t.has()) return;
  clear_elements(proto.t.edit());
  if (proto_size(*proto.t) == 0) proto.t.clear();
}

}  // namespace

Graph GraphReader::read(schema::GraphProto& proto) {
  graph_.opsets = model_.opsets;
  graph_.name = *proto.name;
  read_initializers(proto);
  read_inputs(proto);
  std::vector<Node> nodes(static_cast<size_t>(proto.node.size()));
  for (size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    node.op = *proto.node[i].op_type;
    node.name = *proto.node[i].name;
    node.domain = normal_domain(*proto.node[i].domain);
    for (const std::string& name : proto.node[i].output) {
      node.outputs.push_back(name.empty() ? ValueId{} : define(name, describe(node)));
    }
  }
  name_nodes(nodes);
  for (schema::ValueInfoProto& info : proto.value_info) {
    const auto known = values_.find(*info.name);
    if (known != values_.end()) read_value_info(info, known->second);
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    Node& node = nodes[i];
    with_context([&] { return describe(node); }, [&] { read_node(proto.node[i], node); });
    const NodeId id = graph_.add_node(std::move(node));
    OnnxNotes::of(graph_, id).rest = leftover(proto.node[i]);
  }
  for (schema::ValueInfoProto& info : proto.output) {
    if (!knows(*info.name)) {
      fail(ErrorCode::invalid_model, "output '{}' is never computed", *info.name);
    }
    graph_.outputs.push_back(resolve(*info.name));
    read_value_info(info, graph_.outputs.back());
  }
  proto.name.clear();
  proto.node.clear();
  proto.initializer.clear();
  proto.input.clear();
  proto.output.clear();
  proto.value_info.clear();
  if (!proto.sparse_initializer.empty()) {
    fail(ErrorCode::unsupported, "sparse initializer '{}' is not supported",
         *proto.sparse_initializer[0].values->name);
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

void GraphReader::read_initializers(schema::GraphProto& proto) {
  for (schema::TensorProto& tensor : proto.initializer) {
    with_context([&] { return fmt::format("tensor '{}'", *tensor.name); },
                 [&] { read_initializer(tensor); });
  }
}

void GraphReader::read_initializer(schema::TensorProto& tensor) {
  if (tensor.name->empty()) fail(ErrorCode::invalid_model, "an initializer has no name");
  const ValueId id = define(*tensor.name, "an initializer");
  std::optional<Tensor> data = tensor_from_proto(tensor, model_.directory);
  if (!data) {  // carried through a Constant node that the writer turns back
    schema::AttributeProto attribute;
    attribute.name = "value";
    attribute.type = schema::AttributeProto::TENSOR;
    attribute.t.edit() = std::move(tensor);
    Node node{.op = "Constant", .name = *attribute.t->name, .outputs = {id}};
    node.attributes.set("value", OpaqueAttribute{serialize_proto(attribute)});
    OnnxNotes::of(graph_, graph_.add_node(std::move(node))).is_initializer = true;
    return;
  }
  Value& value = graph_.value(id);
  value.type = {.dtype = data->dtype(), .shape = data->shape(), .quant = {}};
  value.data = std::move(*data);
  const int type = *tensor.data_type;
  tensor.name.clear();
  clear_elements(tensor);
  // Half precision becomes f32 (widen_half); where it did, the writer makes half of it again.
  const DType dtype = graph_.value(id).type.dtype;
  if (dtype == DType::f16 || dtype == DType::bf16) tensor.data_type = type;
  OnnxNotes::of(graph_, id).storage = leftover(tensor);
}

void GraphReader::read_inputs(schema::GraphProto& proto) {
  std::unordered_set<std::string> listed;
  for (schema::ValueInfoProto& info : proto.input) {
    const auto known = values_.find(*info.name);
    if (known != values_.end() && listed.insert(*info.name).second) {  // an initializer
      if (graph_.value(known->second).is_constant()) {
        OnnxNotes::of(graph_, known->second).is_input = true;
      }
      continue;
    }
    listed.insert(*info.name);
    graph_.inputs.push_back(define(*info.name, "an input"));
    read_value_info(info, graph_.inputs.back());
  }
}

// Types that are not tensors (sequences, maps, optionals) stay in the opaque fields; so do
// denotations.
void GraphReader::read_value_info(schema::ValueInfoProto& info, ValueId id) {
  Value& value = graph_.value(id);
  if (value.is_constant() || value.type.dtype != DType::undefined) return;
  with_context([&] { return fmt::format("value '{}'", *info.name); },
               [&] {
                 if (info.type->tensor_type.has()) {
                   schema::TypeProto::Tensor& tensor = info.type.edit().tensor_type.edit();
                   const std::optional<DType> dtype =
                       *tensor.elem_type == 0 ? std::nullopt : dtype_from_onnx(*tensor.elem_type);
                   if (dtype) {
                     value.type.dtype = *dtype;
                     tensor.elem_type.clear();
                   }
                   bool denoted = false;
                   if (dtype && tensor.shape.has()) {
                     value.type.shape = Shape();
                     bool named = false;
                     for (auto& dim : tensor.shape.edit().dim) {
                       value.type.shape.push_back(dim.dim_value.has() && *dim.dim_value >= 0
                                                      ? *dim.dim_value
                                                      : Shape::kUnknown);
                       value.dim_names.push_back(*dim.dim_param);
                       named = named || dim.dim_param.has();
                       dim.dim_value.clear();
                       dim.dim_param.clear();
                       denoted = denoted || proto_size(dim) > 0;
                     }
                     if (!named) value.dim_names.clear();
                     if (!denoted) tensor.shape.clear();
                   }
                   if (proto_size(tensor) == 0) info.type.edit().tensor_type.clear();
                   if (proto_size(*info.type) == 0) info.type.clear();
                 }
                 // With the name, so that it is not empty: writers tell by it what was declared.
                 OnnxNotes::of(graph_, id).declaration = leftover(info);
               });
}

void GraphReader::read_node(schema::NodeProto& proto, Node& node) {
  if (node.domain == "nibble") {
    fail(ErrorCode::invalid_model, "its domain 'nibble' is one that Nibble keeps for itself");
  }
  for (const std::string& name : proto.input) {
    node.inputs.push_back(name.empty() ? ValueId{} : resolve(name));
  }
  std::unordered_set<std::string> seen;
  std::vector<schema::AttributeProto> rest;
  for (schema::AttributeProto& attribute : proto.attribute) {
    const std::string name = *attribute.name;
    if (!seen.insert(name).second) {
      fail(ErrorCode::invalid_model, "attribute '{}' stands twice", name);
    }
    with_context([&] { return fmt::format("attribute '{}'", name); },
                 [&] { read_attribute(attribute, node); });
    attribute.name.clear();
    if (proto_size(attribute) == 0) continue;
    attribute.name = name;
    rest.push_back(std::move(attribute));
  }
  proto.attribute = std::move(rest);
  proto.name.clear();
  proto.domain.clear();
  proto.op_type.clear();
  proto.input.clear();
  proto.output.clear();
}

// Leaves in `proto` only what an Attribute does not hold: a doc string, a tensor's name.
void GraphReader::read_attribute(schema::AttributeProto& proto, Node& node) {
  const std::string name = *proto.name;
  node.attributes.set(name, attribute_value(proto, node));
  const bool opaque = std::holds_alternative<OpaqueAttribute>(*node.attributes.find(name));
  if (opaque) {
    proto = {};
  } else {
    clear_value(proto);
  }
}

Attribute GraphReader::attribute_value(schema::AttributeProto& proto, Node& node) {
  using Proto = schema::AttributeProto;
  const auto opaque = [&] { return OpaqueAttribute{serialize_proto(proto)}; };
  if (!proto.ref_attr_name->empty()) return opaque();
  switch (type_of(proto)) {
    case Proto::FLOAT:
      return *proto.f;
    case Proto::INT:
      return *proto.i;
    case Proto::STRING:
      return *proto.s;
    case Proto::FLOATS:
      return std::move(proto.floats);
    case Proto::INTS:
      return std::move(proto.ints);
    case Proto::STRINGS:
      return std::move(proto.strings);
    case Proto::GRAPH:
      return read_body(proto, node);
    case Proto::TENSOR: {
      std::optional<Tensor> tensor = tensor_from_proto(*proto.t, model_.directory);
      if (!tensor) return opaque();
      return std::move(*tensor);
    }
    default:
      return opaque();
  }
}

Attribute GraphReader::read_body(schema::AttributeProto& proto, Node& node) {
  GraphReader reader(model_, this);
  auto body = std::make_shared<const Graph>(reader.read(proto.g.edit()));
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
