#include "ranges/canonical.h"

#include <algorithm>
#include <optional>

#include "nibble/error.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// The shapes of the inputs at a batch of `batch`; nothing if other dimensions are unknown too.
std::map<std::string, Shape> shapes_at_batch(const Graph& graph, int64_t batch) {
  std::map<std::string, Shape> shapes;
  for (const ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    Shape shape = input.type.shape;
    if (!shape.has_rank()) return {};
    if (shape.rank() > 0 && shape[0] < 0) shape[0] = batch;
    if (!shape.is_static()) return {};
    if (!(shape == input.type.shape)) shapes[input.name] = shape;
  }
  return shapes;
}

// The graph at a fixed batch, folded; nullopt if it cannot run at that batch.
std::optional<Graph> at_batch(const Graph& graph, const std::map<std::string, Shape>& shapes) {
  Graph fixed = graph;
  try {
    infer_types(fixed, shapes);
    fold_constants(fixed);
  } catch (const Error&) {
    return std::nullopt;
  }
  return fixed;
}

using Dims = std::vector<int64_t>;

std::optional<Dims> constant_dims(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.data.dtype() != DType::i64) return std::nullopt;
  const std::span<const int64_t> dims = value.data.data<int64_t>();
  return Dims(dims.begin(), dims.end());
}

// From the targets at batch 2 and 3 to the target at any batch.
std::optional<Dims> target_of_any_batch(const Dims& at2, const Dims& at3) {
  if (at2.size() != at3.size()) return std::nullopt;
  Dims target = at2;
  for (size_t i = 0; i < target.size(); ++i) {
    if (at2[i] == at3[i]) continue;
    if (at2[i] * 3 != at3[i] * 2) return std::nullopt;
    target[i] = -1;
  }
  return std::ranges::count(target, -1) <= 1 ? std::optional(target) : std::nullopt;
}

ValueId add_dims(Graph& graph, ValueId like, const Dims& dims, const Shape& shape) {
  return graph.add_constant(graph.unique_value_name(graph.value(like).name + "_folded"),
                            Tensor::of<int64_t>(shape, std::span<const int64_t>(dims)));
}

Tensor scaled(const Tensor& tensor, float factor) {
  Tensor result = tensor.clone();
  for (float& value : result.data<float>()) value *= factor;
  return result;
}

bool is_f32_constant(const Graph& graph, ValueId id) {
  return id && graph.value(id).is_constant() && graph.value(id).data.dtype() == DType::f32;
}

}  // namespace

int fold_batch_independent(Graph& graph) {
  const auto is_shape = [&](NodeId id) { return graph.node(id).op == "Shape"; };
  const std::vector<NodeId> nodes = graph.nodes();
  const auto shapes2 = shapes_at_batch(graph, 2);
  if (shapes2.empty() || std::ranges::none_of(nodes, is_shape)) return 0;
  const auto at2 = at_batch(graph, shapes2);
  const auto at3 = at_batch(graph, shapes_at_batch(graph, 3));
  if (!at2 || !at3) return 0;
  int folded = 0;
  for (const NodeId id : nodes) {
    for (const ValueId output : graph.node(id).outputs) {
      if (!output) continue;
      const auto dims2 = constant_dims(*at2, output);
      const auto dims3 = constant_dims(*at3, output);
      if (!dims2 || !dims3) continue;
      if (*dims2 == *dims3 && !graph.is_output(output)) {
        graph.replace_uses(output,
                           add_dims(graph, output, *dims2, at2->value(output).data.shape()));
        ++folded;
        continue;
      }
      const auto target = target_of_any_batch(*dims2, *dims3);
      if (!target) continue;
      for (const NodeId reader : graph.consumers(output)) {
        if (graph.node(reader).op != "Reshape" || graph.node(reader).input(1) != output) continue;
        const Shape shape{static_cast<int64_t>(target->size())};
        const ValueId constant = add_dims(graph, output, *target, shape);
        graph.node(reader).inputs[1] = constant;
        ++folded;
      }
    }
  }
  graph.prune();
  return folded;
}

int fold_gemm_factors(Graph& graph) {
  int folded = 0;
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).op != "Gemm" || !graph.node(id).domain.empty()) continue;
    const std::pair<size_t, const char*> factors[] = {{1, "alpha"}, {2, "beta"}};
    for (const auto& [i, attribute] : factors) {
      const float factor = graph.node(id).attributes.real(attribute, 1);
      const ValueId operand = graph.node(id).input(i);
      if (factor == 1 || !is_f32_constant(graph, operand)) continue;
      const ValueId constant =
          graph.add_constant(graph.unique_value_name(graph.value(operand).name + "_scaled"),
                             scaled(graph.value(operand).data, factor));
      graph.node(id).inputs[i] = constant;
      graph.node(id).attributes.erase(attribute);
      ++folded;
    }
  }
  return folded;
}

int join_matmul_bias(Graph& graph) {
  int joined = 0;
  for (const NodeId id : graph.nodes()) {
    const Node matmul = graph.node(id);
    if (matmul.op != "MatMul" || !matmul.domain.empty()) continue;
    if (!matmul.input(0) || !matmul.input(1) || !matmul.output(0)) continue;
    const ValueId product = matmul.outputs[0];
    if (graph.value(matmul.inputs[0]).type.shape.rank() != 2) continue;
    if (!is_f32_constant(graph, matmul.inputs[1])) continue;
    const Shape& weight = graph.value(matmul.inputs[1]).data.shape();
    const std::vector<NodeId> readers = graph.consumers(product);
    if (weight.rank() != 2 || readers.size() != 1 || graph.is_output(product)) continue;
    const Node& add = graph.node(readers[0]);
    if (add.op != "Add" || !add.domain.empty() || !add.captures.empty()) continue;
    if (add.inputs.size() != 2 || !add.output(0)) continue;
    const ValueId bias = add.inputs[0] == product ? add.inputs[1] : add.inputs[0];
    if (!is_f32_constant(graph, bias)) continue;
    const Tensor data = graph.value(bias).data;
    const int64_t channels = weight[1];
    if (data.elements() != channels || data.shape().rank() > 2 ||
        (data.shape().rank() > 0 && data.shape()[data.shape().rank() - 1] != channels)) {
      continue;
    }
    const ValueId row = graph.add_constant(graph.unique_value_name(graph.value(bias).name + "_row"),
                                           data.reshaped({channels}));
    graph.insert_node(readers[0], {.op = "Gemm",
                                   .name = matmul.name,
                                   .inputs = {matmul.inputs[0], matmul.inputs[1], row},
                                   .outputs = graph.node(readers[0]).outputs});
    graph.remove_node(readers[0]);
    graph.remove_node(id);
    ++joined;
  }
  return joined;
}

}  // namespace nibble
