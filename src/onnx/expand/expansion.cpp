#include "onnx/expand/expansion.h"

#include <algorithm>

#include "base/check.h"
#include "base/lengths.h"

namespace nibble {

const TensorType Expansion::kNothing;

Expansion::Expansion(Graph& graph, GraphEditor& editor, TypeInference& types, NodeId at)
    : node(graph.node(at)), graph_(graph), editor_(editor), types_(types), at_(at) {}

std::string Expansion::stem(std::string_view what) const {
  return fmt::format("{}_{}", node.name, what);
}

const Tensor& Expansion::required(ValueId id, std::string_view what) {
  const Tensor* tensor = known(id);
  if (tensor == nullptr) refuse(fmt::format("its {} is not a constant", what));
  return *tensor;
}

std::vector<ValueId> Expansion::ops(std::string_view op, std::vector<ValueId> inputs,
                                    size_t outputs, Attributes attributes) {
  while (!inputs.empty() && !inputs.back()) inputs.pop_back();
  for (ValueId& input : inputs) {
    if (const auto output = given_.find(input); output != given_.end()) input = output->second;
  }
  Node part{.op = std::string(op),
            .name = editor_.unique_node_name(stem(op)),
            .inputs = std::move(inputs),
            .attributes = std::move(attributes)};
  for (size_t i = 0; i < outputs; ++i) part.outputs.push_back(editor_.add_value(stem(op), {}));
  const std::vector<ValueId> results = part.outputs;
  const NodeId id = editor_.insert_before(at_, std::move(part));
  made_.push_back(id);
  with_lengths_from_model([&] { types_.infer(id); });
  return results;
}

ValueId Expansion::op(std::string_view op, std::vector<ValueId> inputs, Attributes attributes) {
  return ops(op, std::move(inputs), 1, std::move(attributes))[0];
}

ValueId Expansion::constant(Tensor data) {
  return editor_.add_constant(stem("constant"), std::move(data));
}

ValueId Expansion::scalar_like(ValueId like, double value) {
  const DType dtype = type(like).dtype;
  const Tensor number = Tensor::scalar(static_cast<float>(value));
  return constant(dtype == DType::undefined ? number : convert(number, dtype));
}

ValueId Expansion::integers(std::initializer_list<int64_t> values) {
  return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

// The part that made the value makes the output instead: no node only to rename it.
void Expansion::give_all(std::span<const ValueId> values) {
  for (size_t i = 0; i < values.size(); ++i) give(i, values[i]);
}

void Expansion::give(size_t output, ValueId value) {
  const ValueId result = node.output(output);
  if (!result) return;
  if (const auto known = given_.find(value); known != given_.end()) value = known->second;
  const auto producer = editor_.producer(value);
  const bool made = producer && std::ranges::find(made_, *producer) != made_.end();
  const bool given = std::ranges::find(node.outputs, value) != node.outputs.end();
  if (!made || given) value = op("Identity", {value});
  const NodeId maker = *editor_.producer(value);
  const std::vector<ValueId>& outputs = graph_.node(maker).outputs;
  const auto i = std::ranges::find(outputs, value) - outputs.begin();
  editor_.replace(value, result);
  given_[value] = result;
  editor_.set_output(maker, static_cast<size_t>(i), result);
  with_lengths_from_model([&] { types_.infer(maker); });
}

void Expansion::refuse(std::string_view why) const {
  fail(ErrorCode::unsupported, "it cannot be taken apart into operators of ONNX: {}", why);
}

Attributes attributes_of(std::initializer_list<std::pair<std::string_view, Attribute>> items) {
  Attributes attributes;
  for (const auto& [name, value] : items) attributes.set(name, value);
  return attributes;
}

Attributes taken_over(const Node& node, std::initializer_list<std::string_view> names) {
  Attributes attributes;
  for (const std::string_view name : names) {
    if (const Attribute* value = node.attributes.find(name)) attributes.set(name, *value);
  }
  return attributes;
}

}  // namespace nibble
