#include "train/torch/parameters.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace nibble {
namespace {

struct ParameterSlot {
  std::string_view op;
  size_t input;
  ParameterRole role;
};
constexpr std::array kParameterSlots = {
    ParameterSlot{"Conv", 1, ParameterRole::weight},
    ParameterSlot{"Conv", 2, ParameterRole::bias},
    ParameterSlot{"ConvTranspose", 1, ParameterRole::weight},
    ParameterSlot{"ConvTranspose", 2, ParameterRole::bias},
    ParameterSlot{"Gemm", 1, ParameterRole::weight},
    ParameterSlot{"Gemm", 2, ParameterRole::bias},
    ParameterSlot{"MatMul", 0, ParameterRole::weight},
    ParameterSlot{"MatMul", 1, ParameterRole::weight},
    ParameterSlot{"BatchNormalization", 1, ParameterRole::norm},
    ParameterSlot{"BatchNormalization", 2, ParameterRole::norm},
    ParameterSlot{"LayerNormalization", 1, ParameterRole::norm},
    ParameterSlot{"LayerNormalization", 2, ParameterRole::norm},
    ParameterSlot{"InstanceNormalization", 1, ParameterRole::norm},
    ParameterSlot{"InstanceNormalization", 2, ParameterRole::norm},
    ParameterSlot{"GroupNormalization", 1, ParameterRole::norm},
    ParameterSlot{"GroupNormalization", 2, ParameterRole::norm},
    ParameterSlot{"PRelu", 1, ParameterRole::norm},
    ParameterSlot{"GRU", 1, ParameterRole::weight},
    ParameterSlot{"GRU", 2, ParameterRole::weight},
    ParameterSlot{"GRU", 3, ParameterRole::bias},
    ParameterSlot{"LSTM", 1, ParameterRole::weight},
    ParameterSlot{"LSTM", 2, ParameterRole::weight},
    ParameterSlot{"LSTM", 3, ParameterRole::bias},
    ParameterSlot{"LSTM", 7, ParameterRole::norm},
    ParameterSlot{"RNN", 1, ParameterRole::weight},
    ParameterSlot{"RNN", 2, ParameterRole::weight},
    ParameterSlot{"RNN", 3, ParameterRole::bias},
};

struct Counterpart {
  bool found = false;            // a node of the same name, which has a constant there, or nothing
  const Value* value = nullptr;  // nullptr: nothing
};

/// The constant in the same place of the same node of another graph.
Counterpart counterpart(const Graph& other, const Node& node, size_t slot) {
  for (NodeId id : other.nodes()) {
    const Node& candidate = other.node(id);
    if (candidate.name != node.name || candidate.op != node.op) continue;
    if (!candidate.input(slot)) return {true, nullptr};
    const Value& value = other.value(candidate.inputs[slot]);
    if (value.is_constant()) return {true, &value};
  }
  return {};
}

}  // namespace

std::optional<ParameterRole> parameter_role(const Graph& graph, const Node& node, size_t slot) {
  if (!node.input(slot)) return {};
  const Value& value = graph.value(node.inputs[slot]);
  if (!value.is_constant() || value.type.dtype != DType::f32) return {};
  for (const ParameterSlot& row : kParameterSlots) {
    if (row.op == node.op && row.input == slot) return row.role;
  }
  // A table of embeddings; a list is one of settings.
  if (node.op == "Gather" && slot == 0 && value.data.shape().rank() > 1) {
    return ParameterRole::weight;
  }
  if (node.op != "Add" || node.inputs.size() != 2 || value.data.elements() < 2) return {};
  const auto other = graph.producer(node.inputs[1 - slot]);
  if (other && graph.node(*other).op == "MatMul") return ParameterRole::bias;
  return {};
}

bool is_running_statistic(const Node& node, size_t slot) {
  return node.op == "BatchNormalization" && (slot == 3 || slot == 4);
}

Tensor real_data(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

Tensor starting_point(const Graph& float_graph, const Value& mine, const Node& node, size_t slot,
                      ParameterRole role) {
  const Shape& shape = mine.data.shape();
  const auto [found, value] = counterpart(float_graph, node, slot);
  if (!found) {
    fail(ErrorCode::invalid_argument, "the float network has no counterpart of input {} of {}",
         slot, describe(node));
  }
  const bool bias = role == ParameterRole::bias;
  Tensor start(DType::f32, shape);  // zeros
  if (value == nullptr && bias) return start;
  if (value != nullptr) {
    const Tensor real = real_data(*value);
    if (real.shape() == shape) return real;
    if (bias && real.elements() == shape.elements()) return real.reshaped(shape);
    if (bias && real.elements() == 1) {
      std::ranges::fill(start.data<float>(), real.data<float>()[0]);
      return start;
    }
  }
  fail(ErrorCode::invalid_argument, "'{}' of {} is {}, but {} in the float network", mine.name,
       describe(node), shape.to_string(),
       value == nullptr ? "absent" : value->data.shape().to_string());
}

std::optional<Tensor> reals_behind(const Graph& float_graph, const Value& mine, const Node& node,
                                   size_t slot) {
  const Value* value = counterpart(float_graph, node, slot).value;
  if (value == nullptr || value->type.dtype != DType::f32) return {};
  if (!(value->data.shape() == mine.data.shape())) return {};
  return real_data(*value);
}

}  // namespace nibble
