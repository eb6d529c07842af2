// Types of values from the types of inputs, in execution order.
//
// Before: input %x:f32[1,3,8,8]      %s = Shape(%x)           %y = Reshape(%f, %s)
// After:  input %x:f32[1,3,8,8]      %s:i64[4] = Shape(%x)    %y:f32[1,3,8,8] = Reshape(%f, %s)
//
// Small integer values that follow from constants and known shapes are computed on the way
// (nothing in the graph changes), so that Reshape, Slice, Expand and the like see their arguments.
#include <algorithm>
#include <vector>

#include "base/lengths.h"
#include "ops/op.h"
#include "passes/evaluate.h"
#include "passes/pass.h"
#include "passes/type_inference.h"
#include "tensor/agree.h"
#include "tensor/memory.h"

namespace nibble {
namespace {

constexpr int64_t kMaxKnownElements = 4096;

}  // namespace

void TypeInference::run() {
  for (NodeId id : graph_.nodes()) {
    with_context([&] { return describe(graph_.node(id)); },
                 [&] { with_lengths_from_model([&] { infer(id); }); });
  }
}

Tensor& TypeInference::entry(ValueId id) {
  const auto i = static_cast<size_t>(id.index);
  if (known_.size() <= i) known_.resize(static_cast<size_t>(graph_.value_count()));
  return known_[i];
}

const Tensor* TypeInference::known(ValueId id) {
  if (!id) return nullptr;
  Tensor& tensor = entry(id);
  const Value& value = graph_.value(id);
  // Large quantized constants are of no use to a shape rule.
  if (tensor.empty() && value.is_constant() &&
      (!value.type.quant || value.data.elements() <= kMaxKnownElements)) {
    tensor = real_constant(value);
  }
  return tensor.empty() ? nullptr : &tensor;
}

void TypeInference::infer(NodeId id) {
  Node& node = graph_.node(id);
  infer_bodies(node);
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || !row->infer) return infer_branches(node);
  check_arity(node, *row);
  std::vector<TensorType> types;
  std::vector<Tensor> constants;
  for (ValueId input : node.inputs) {
    types.push_back(input ? graph_.value(input).type : TensorType{});
    const Tensor* constant = known(input);
    constants.push_back(constant == nullptr ? Tensor() : *constant);
    // An input whose element type nobody knows would look as if it were left out.
    if (input && types.back().dtype == DType::undefined) return infer_branches(node);
  }
  const NodeTypes node_types(node, graph_.opset(), types, constants);
  const std::vector<TensorType> results = row->infer.function(node_types);
  for (size_t i = 0; i < results.size() && i < node.outputs.size(); ++i) {
    if (!node.outputs[i]) continue;
    merge(node.outputs[i], results[i]);
    const TensorType& type = graph_.value(node.outputs[i]).type;
    if (type.dtype != DType::undefined && type.shape.is_static()) {
      require_memory(type.dtype, type.shape);
    }
  }
  infer_branches(node);
  learn_values(node, constants);
}

// Both the declared and the inferred type hold: each may know dimensions that the other does not.
void TypeInference::merge(ValueId id, const TensorType& type) {
  Value& value = graph_.value(id);
  const auto conflict = [&] {
    fail(ErrorCode::invalid_model, "'{}' is declared as {} but computed as {}", value.name,
         to_string(value.type), to_string(type));
  };
  if (type.dtype != DType::undefined) {
    if (value.type.dtype != DType::undefined && value.type.dtype != type.dtype) conflict();
    value.type.dtype = type.dtype;
  }
  if (!type.shape.has_rank()) return;
  if (!value.type.shape.has_rank()) {
    value.type.shape = type.shape;
    return;
  }
  if (value.type.shape.rank() != type.shape.rank()) conflict();
  for (int axis = 0; axis < type.shape.rank(); ++axis) {
    if (type.shape[axis] < 0) continue;
    if (value.type.shape[axis] >= 0 && value.type.shape[axis] != type.shape[axis]) conflict();
    value.type.shape[axis] = type.shape[axis];
  }
}

// Evaluates a node whose inputs are known and whose outputs are small.
void TypeInference::learn_values(const Node& node, std::span<const Tensor> constants) {
  if (node.outputs.empty() || !is_pure(node)) return;
  std::vector<Tensor> inputs(constants.begin(), constants.end());
  const bool is_shape = node.op == "Shape" || node.op == "Size";
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!node.inputs[i]) continue;
    const TensorType& type = graph_.value(node.inputs[i]).type;
    if (is_shape && inputs[i].empty() && type.shape.is_static()) {
      inputs[i] = Tensor::borrow(type.dtype, type.shape, nullptr);  // only its shape is read
    }
    if (inputs[i].empty() || (!is_shape && inputs[i].elements() > kMaxKnownElements)) return;
  }
  for (ValueId output : node.outputs) {
    if (!output) continue;
    const Shape& shape = graph_.value(output).type.shape;
    if (!shape.is_static() || shape.elements() > kMaxKnownElements) return;
  }
  const auto results = evaluate_node(node, graph_.opset(), inputs);
  if (!results) return;
  for (size_t i = 0; i < results->size(); ++i) {
    if (node.outputs[i]) entry(node.outputs[i]) = (*results)[i];
  }
}

// Bodies of If, Loop and Scan: the types of captured values are known to them.
void TypeInference::infer_bodies(Node& node) {
  edit_bodies(node, [&](Graph& body) {
    for (ValueId capture : node.captures) {
      const Value& outer = graph_.value(capture);
      const auto inner = body.find_value(outer.name);
      if (!inner || body.value(*inner).is_constant() || body.is_input(*inner)) continue;
      // It gets the real numbers; the body may round them to a grid of its own.
      TensorType& type = body.value(*inner).type;
      type.dtype = outer.type.dtype;
      type.shape = outer.type.shape;
    }
    if (!infer_states(node, body)) infer_types(body);
  });
}

// What a Loop or Scan carries from one iteration to the next, of which the body does not say
// the whole shape: inputs and outputs of the body, and the type at the start.
std::vector<TypeInference::State> TypeInference::open_states(const Node& node,
                                                             const Graph& body) const {
  const bool loop = node.op == "Loop", scan = node.op == "Scan";
  std::vector<State> states;
  if (!node.domain.empty() || (!loop && !scan) || body.inputs.size() != node.inputs.size()) {
    return states;
  }
  // Of a Loop they lie behind the number of the iteration and the condition.
  const auto slices = static_cast<size_t>(
      loop ? 0 : std::max<int64_t>(0, node.attributes.integer("num_scan_inputs", 0)));
  for (size_t i = loop ? 2 : 0; i + slices < node.inputs.size(); ++i) {
    const size_t output = loop ? i - 1 : i;
    if (!node.inputs[i] || output >= body.outputs.size()) return {};
    const TensorType& start = graph_.value(node.inputs[i]).type;
    const Shape& declared = body.value(body.inputs[i]).type.shape;
    if (declared.is_static() || !start.shape.has_rank()) continue;
    if (declared.has_rank() && !agree(declared.dims(), start.shape.dims())) continue;
    State state{body.inputs[i], body.outputs[output], {start.dtype, start.shape, {}}};
    for (int axis = 0; axis < declared.rank(); ++axis) {
      if (declared[axis] >= 0) state.type.shape[axis] = declared[axis];
    }
    states.push_back(std::move(state));
  }
  return states;
}

// They keep the type that they start with if one iteration keeps it: tried on a copy, with fewer
// and fewer extents known. False if nothing is known so.
bool TypeInference::infer_states(const Node& node, Graph& body) const {
  std::vector<State> states = open_states(node, body);
  for (int attempt = 0; attempt < 3 && !states.empty(); ++attempt) {
    Graph trial = body;
    for (const State& state : states) {
      TensorType& type = trial.value(state.input).type;
      type.shape = state.type.shape;
      if (type.dtype == DType::undefined) type.dtype = state.type.dtype;
    }
    try {
      infer_types(trial);
    } catch (const Error&) {
      return false;
    }
    bool kept = true;
    for (State& state : states) {
      const Shape& next = trial.value(state.output).type.shape;
      Shape& shape = state.type.shape;
      if (!next.has_rank() || next.rank() != shape.rank()) return false;
      for (int axis = 0; axis < shape.rank(); ++axis) {
        if (shape[axis] < 0 || next[axis] == shape[axis]) continue;
        shape[axis] = Shape::kUnknown;
        kept = false;
      }
    }
    if (!kept) continue;
    body = std::move(trial);
    return true;
  }
  return false;
}

// If: what both branches agree on.
void TypeInference::infer_branches(const Node& node) {
  if (node.op != "If" || !node.domain.empty()) return;
  std::vector<const Graph*> branches;
  for (const auto& [name, attribute] : node.attributes) {
    if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
      branches.push_back(body->get());
    }
  }
  if (branches.size() != 2) return;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i] || i >= branches[0]->outputs.size() || i >= branches[1]->outputs.size()) {
      continue;
    }
    const TensorType& a = branches[0]->value(branches[0]->outputs[i]).type;
    const TensorType& b = branches[1]->value(branches[1]->outputs[i]).type;
    if (a.dtype != b.dtype) continue;
    TensorType both{.dtype = a.dtype, .shape = a.shape, .quant = {}};
    if (a.shape.rank() != b.shape.rank()) both.shape = Shape::unknown_rank();
    for (int axis = 0; axis < both.shape.rank(); ++axis) {
      if (a.shape[axis] != b.shape[axis]) both.shape[axis] = Shape::kUnknown;
    }
    merge(node.outputs[i], both);
  }
}

void infer_types(Graph& graph) { TypeInference(graph).run(); }

void infer_types(Graph& graph, const std::map<std::string, Shape>& input_shapes) {
  if (input_shapes.empty()) return infer_types(graph);
  for (const auto& [name, shape] : input_shapes) {
    const bool known = std::ranges::any_of(
        graph.inputs, [&](ValueId input) { return graph.value(input).name == name; });
    if (!known) fail(ErrorCode::invalid_argument, "the model has no input named '{}'", name);
  }
  // Shapes declared for other input shapes no longer hold.
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.is_constant() && !graph.is_input({i})) value.type.shape = Shape::unknown_rank();
  }
  for (ValueId input : graph.inputs) {
    Value& value = graph.value(input);
    const auto it = input_shapes.find(value.name);
    if (it == input_shapes.end()) continue;
    const Shape& declared = value.type.shape;
    bool fits = !declared.has_rank() || declared.rank() == it->second.rank();
    for (int axis = 0; fits && axis < declared.rank(); ++axis) {
      fits = declared[axis] < 0 || it->second[axis] < 0 || declared[axis] == it->second[axis];
    }
    if (!fits) {
      fail(ErrorCode::invalid_argument, "input '{}' is {}, which {} does not fit", value.name,
           to_string(value.type), it->second.to_string());
    }
    value.type.shape = it->second;
  }
  infer_types(graph);
}

}  // namespace nibble
