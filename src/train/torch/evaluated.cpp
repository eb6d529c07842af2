#include "train/torch/evaluated.h"

#include "train/torch/tensors.h"

namespace nibble {

// A graph of the node alone, whose inputs are the node's.
Evaluated::Evaluated(const Graph& graph, const Node& node) {
  alone_.opsets = graph.opsets;
  Node copy = node;
  const auto add = [&](ValueId& id) {
    if (!id) return;
    const Value& value = graph.value(id);
    if (const auto known = alone_.find_value(value.name)) {
      id = *known;
      return;
    }
    reads_.push_back(id);
    id = alone_.add_value(value.name, {.dtype = value.type.dtype, .shape = Shape::unknown_rank()});
    alone_.inputs.push_back(id);
  };
  for (ValueId& input : copy.inputs) add(input);
  for (ValueId& capture : copy.captures) add(capture);
  // What nobody wants stays without a value.
  for (ValueId& output : copy.outputs) {
    if (!output) continue;
    const Value& value = graph.value(output);
    output =
        alone_.add_value(value.name, {.dtype = value.type.dtype, .shape = Shape::unknown_rank()});
    alone_.outputs.push_back(output);
  }
  alone_.add_node(std::move(copy));
}

std::vector<torch::Tensor> Evaluated::run(const std::vector<torch::Tensor>& arguments,
                                          torch::Device device) {
  std::vector<Tensor> inputs;
  for (const torch::Tensor& argument : arguments) {
    DType& dtype = alone_.value(alone_.inputs.at(inputs.size())).type.dtype;
    const Tensor given = from_torch(argument);
    // What a body takes from around it has no type of its own.
    if (dtype == DType::undefined) dtype = given.dtype();
    inputs.push_back(given.dtype() == dtype ? given : convert(given, dtype));
  }
  if (!program_) {
    program_ = std::make_unique<Program>(
        compile(alone_, {.arithmetic = Arithmetic::f32, .optimize = false}));
  }
  std::vector<torch::Tensor> outputs;
  for (const Tensor& output : program_->run(inputs)) {
    outputs.push_back(to_torch(output, is_float(output.dtype()) ? device : torch::kCPU));
  }
  return outputs;
}

}  // namespace nibble
