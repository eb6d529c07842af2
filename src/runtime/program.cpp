// The first, simplest Program: node by node through the op table's eval column, every value on the
// heap.
#include <unordered_map>

#include "base/check.h"
#include "nibble/runtime.h"
#include "ops/op.h"

namespace nibble {

struct Program::Impl {
  Graph graph;
  CompileOptions options;
  ThreadPool pool;
  Observer observer;
  std::vector<std::string> input_names, output_names;
  std::vector<TensorType> input_types, output_types;
  std::vector<Tensor> values;   // by ValueId; constants stay
  std::vector<Tensor> results;  // of the last run

  Impl(const Graph& source, const CompileOptions& compile_options)
      : graph(source), options(compile_options), pool(compile_options.threads) {
    values.resize(static_cast<size_t>(graph.value_count()));
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      const Value& value = graph.value({i});
      if (!value.is_constant()) continue;
      values[static_cast<size_t>(i)] =
          value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
    }
    for (ValueId id : graph.inputs) {
      Value& value = graph.value(id);
      const auto it = options.input_shapes.find(value.name);
      if (it != options.input_shapes.end()) value.type.shape = it->second;
      input_names.push_back(value.name);
      input_types.push_back(value.type);
    }
    for (ValueId id : graph.outputs) {
      output_names.push_back(graph.value(id).name);
      output_types.push_back(graph.value(id).type);
    }
    for (NodeId id : graph.nodes()) require_op(graph.node(id), graph.opset());
  }

  Tensor& slot(ValueId id) { return values[static_cast<size_t>(id.index)]; }

  void store(ValueId id) {
    const TensorType& type = graph.value(id).type;
    if (type.quant && options.arithmetic != Arithmetic::f32) {
      slot(id) = dequantize_tensor(quantize_tensor(slot(id), *type.quant), *type.quant);
    }
    if (observer) observer(id, slot(id));
  }

  void evaluate(NodeId id);
};

namespace {

// If, Loop and Scan bodies: compiled when first needed, captured values become further inputs.
class BodyRunner : public SubgraphRunner {
 public:
  BodyRunner(Program::Impl& outer, const Node& node) : outer_(outer), node_(node) {}

  std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) override {
    const Attribute* found = node_.attributes.find(attribute);
    const auto* body =
        found != nullptr ? std::get_if<std::shared_ptr<const Graph>>(found) : nullptr;
    if (body == nullptr) fail(ErrorCode::invalid_model, "subgraph '{}' is missing", attribute);
    Graph graph = **body;
    std::vector<Tensor> all(inputs.begin(), inputs.end());
    for (ValueId capture : node_.captures) {
      const auto inner = graph.find_value(outer_.graph.value(capture).name);
      if (!inner || graph.is_input(*inner) || graph.value(*inner).is_constant() ||
          graph.producer(*inner))
        continue;
      graph.inputs.push_back(*inner);
      all.push_back(outer_.slot(capture));
    }
    for (size_t i = 0; i < all.size(); ++i) {
      Value& input = graph.value(graph.inputs[i]);
      input.type = {.dtype = all[i].dtype(), .shape = all[i].shape(), .quant = {}};
    }
    CompileOptions options = outer_.options;
    options.input_shapes.clear();
    options.threads = 1;
    Program program = compile(graph, options);
    std::vector<Tensor> results;
    for (const Tensor& result : program.run(all)) results.push_back(result.clone());
    return results;
  }

 private:
  Program::Impl& outer_;
  const Node& node_;
};

}  // namespace

void Program::Impl::evaluate(NodeId id) {
  const Node& node = graph.node(id);
  with_context([&] { return describe(node); },
               [&] {
                 std::vector<Tensor> inputs;
                 for (ValueId input : node.inputs) inputs.push_back(input ? slot(input) : Tensor());
                 std::vector<Tensor> outputs(node.outputs.size());
                 EvalContext context(node, graph.opset(), inputs, outputs, pool);
                 BodyRunner bodies(*this, node);
                 context.subgraphs = &bodies;
                 require_op(node, graph.opset()).eval.function(context);
                 for (size_t i = 0; i < outputs.size(); ++i) {
                   if (!node.outputs[i]) continue;
                   slot(node.outputs[i]) = std::move(outputs[i]);
                   store(node.outputs[i]);
                 }
               });
}

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const std::vector<std::string>& Program::input_names() const { return impl_->input_names; }
const std::vector<TensorType>& Program::input_types() const { return impl_->input_types; }
const std::vector<std::string>& Program::output_names() const { return impl_->output_names; }
const std::vector<TensorType>& Program::output_types() const { return impl_->output_types; }

std::span<const Tensor> Program::run(std::span<const Tensor> inputs) {
  if (inputs.size() != impl_->graph.inputs.size()) {
    fail(ErrorCode::invalid_argument, "the model takes {} inputs, got {}",
         impl_->graph.inputs.size(), inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& type = impl_->input_types[i];
    bool fits = inputs[i].dtype() == type.dtype;
    if (type.shape.has_rank()) {
      fits = fits && inputs[i].shape().rank() == type.shape.rank();
      for (int axis = 0; fits && axis < type.shape.rank(); ++axis) {
        fits = type.shape[axis] < 0 || type.shape[axis] == inputs[i].shape()[axis];
      }
    }
    if (!fits) {
      fail(ErrorCode::invalid_argument, "input '{}' is {}{}, the model takes {}",
           impl_->input_names[i], name_of(inputs[i].dtype()), inputs[i].shape().to_string(),
           to_string(type));
    }
    impl_->slot(impl_->graph.inputs[i]) = inputs[i];
    impl_->store(impl_->graph.inputs[i]);
  }
  for (NodeId id : impl_->graph.nodes()) impl_->evaluate(id);
  impl_->results.clear();
  for (ValueId id : impl_->graph.outputs) impl_->results.push_back(impl_->slot(id));
  return impl_->results;
}

void Program::observe(Observer observer) { impl_->observer = std::move(observer); }
size_t Program::arena_bytes() const { return 0; }
size_t Program::constant_bytes() const { return 0; }
Program::Coverage Program::coverage() const {
  return {0, static_cast<int>(impl_->graph.nodes().size())};
}
void Program::profile(bool) {}
std::vector<StepProfile> Program::profile() const { return {}; }

Program compile(const Graph& graph, const CompileOptions& options) {
  return Program(std::make_unique<Program::Impl>(graph, options));
}

}  // namespace nibble
