// Small graphs for the runtime's tests, with random weights.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "nibble/runtime.h"
#include "ops/op.h"
#include "support/tensors.h"

namespace nibble::test {

using testing::largest_difference;
using testing::random_tensor;

inline QuantParams per_tensor(float scale, int32_t zero_point, DType storage = DType::u8) {
  return {.storage = storage,
          .qmin = static_cast<int32_t>(lowest_of(storage)),
          .qmax = static_cast<int32_t>(highest_of(storage)),
          .scale = {scale},
          .zero_point = {zero_point}};
}

/// Builds a graph node by node. Values are f32; `as` gives one a quantized type.
class Builder {
 public:
  Graph graph;
  Random random;
  bool channels_last = false;  // of the spatial operators to come

  explicit Builder(uint64_t seed = 1) : random(seed) { graph.opsets[""] = 17; }

  ValueId input(const std::string& name, const Shape& shape,
                std::optional<QuantParams> quant = {}) {
    const ValueId id =
        graph.add_value(name, {.dtype = DType::f32, .shape = shape, .quant = std::move(quant)});
    graph.inputs.push_back(id);
    return id;
  }
  ValueId constant(Tensor data) {
    return graph.add_constant(graph.unique_value_name("constant"), std::move(data));
  }
  ValueId integers(std::vector<int64_t> values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())},
                                        std::span<const int64_t>(values)));
  }
  ValueId op(const std::string& op, std::vector<ValueId> inputs,
             std::vector<std::pair<std::string, Attribute>> attributes = {},
             std::optional<QuantParams> quant = {}) {
    Node node;
    node.op = op;
    node.name = graph.unique_node_name(op);
    node.inputs = std::move(inputs);
    const OpRow* row = find_op(op, "");
    node.channels_last = channels_last && row != nullptr && row->layout == LayoutRole::spatial;
    for (auto& [name, value] : attributes) node.attributes.set(name, std::move(value));
    const ValueId out = graph.add_value(graph.unique_value_name(op + "_out"),
                                        {.dtype = DType::f32, .quant = std::move(quant)});
    node.outputs = {out};
    graph.add_node(std::move(node));
    return out;
  }
  /// int8 weights, symmetric, with one scale per channel of `axis`.
  ValueId weight(const Shape& shape, int axis, int bits = 8) {
    const DType storage = bits == 8 ? DType::i8 : DType::i4;
    const int32_t limit = (1 << (bits - 1)) - 1;
    std::vector<int32_t> codes(static_cast<size_t>(shape.elements()));
    for (int32_t& code : codes) {
      code = static_cast<int32_t>(random.below(static_cast<uint64_t>(2 * limit + 1))) - limit;
    }
    QuantParams quant{.storage = storage, .qmin = -limit, .qmax = limit};
    quant.granularity = Granularity::per_channel;
    quant.axis = axis;
    for (int64_t c = 0; c < shape[axis]; ++c) {
      quant.scale.push_back(static_cast<float>(0.5 + random.uniform()) / static_cast<float>(limit) /
                            std::sqrt(static_cast<float>(shape.elements() / shape[axis])));
      quant.zero_point.push_back(0);
    }
    return graph.add_constant(graph.unique_value_name("weight"),
                              pack_integers(storage, shape, codes), quant);
  }
  /// int32 bias in units of input scale times weight scale.
  ValueId bias(ValueId input, ValueId weight) {
    const float input_scale = graph.value(input).type.quant->scale[0];
    QuantParams quant{.storage = DType::i32, .qmin = INT32_MIN, .qmax = INT32_MAX};
    quant.granularity = Granularity::per_channel;
    quant.axis = 0;
    std::vector<int32_t> codes;
    for (float scale : graph.value(weight).type.quant->scale) {
      quant.scale.push_back(input_scale * scale);
      quant.zero_point.push_back(0);
      codes.push_back(static_cast<int32_t>(random.normal() * 0.3 / (input_scale * scale)));
    }
    return graph.add_constant(
        graph.unique_value_name("bias"),
        pack_integers(DType::i32, {static_cast<int64_t>(codes.size())}, codes), quant);
  }
  Graph finish(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    return graph;
  }
};

inline std::vector<Tensor> run_graph(const Graph& graph, const std::vector<Tensor>& inputs,
                                     const CompileOptions& options = {}) {
  Program program = compile(graph, options);
  std::vector<Tensor> results;
  for (const Tensor& result : program.run(inputs)) results.push_back(result.clone());
  return results;
}

}  // namespace nibble::test
