// BatchNormalization behind a layer goes into the layer's weights and bias; so do the addition and
// the multiplication of a constant per channel.
//
// Before: %y = Conv(%x, %w, %b)   %z = BatchNormalization(%y, %scale, %beta, %mean, %var)
// After:  %z = Conv(%x, %w', %b')
//         w'[c] = w[c] * g[c],  b'[c] = (b[c] - mean[c]) * g[c] + beta[c]
//         g[c] = scale[c] / sqrt(var[c] + epsilon)
#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "passes/every_graph.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// y[c] = x[c] * gain[c] + shift[c]
struct Affine {
  std::vector<double> gain;
  std::vector<double> shift;
};

std::optional<std::vector<double>> reals(const Graph& graph, ValueId id) {
  if (!id) return std::nullopt;
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.type.quant || !is_float(value.data.dtype())) {
    return std::nullopt;
  }
  const Tensor wide = convert(value.data, DType::f64);
  return std::vector<double>(wide.data<double>().begin(), wide.data<double>().end());
}

std::optional<Affine> batch_norm(const Graph& graph, const Node& node, size_t channels) {
  const bool trains = node.attributes.integer("training_mode", 0) != 0 || node.outputs.size() > 1;
  if (trains || node.attributes.integer("spatial", 1) == 0) return std::nullopt;
  const auto scale = reals(graph, node.input(1));
  const auto beta = reals(graph, node.input(2));
  const auto mean = reals(graph, node.input(3));
  const auto var = reals(graph, node.input(4));
  for (const auto* part : {&scale, &beta, &mean, &var}) {
    if (!*part || (*part)->size() != channels) return std::nullopt;
  }
  const double epsilon = node.attributes.real("epsilon", 1e-5F);
  Affine affine;
  for (size_t c = 0; c < channels; ++c) {
    const double gain = (*scale)[c] / std::sqrt((*var)[c] + epsilon);
    if (!std::isfinite(gain)) return std::nullopt;
    affine.gain.push_back(gain);
    affine.shift.push_back((*beta)[c] - (*mean)[c] * gain);
  }
  return affine;
}

// A constant that broadcasts along everything but axis 1 (the channels), one entry per channel;
// `rank` is that of the other operand, 0 if it is not known.
std::optional<std::vector<double>> per_channel(const Graph& graph, ValueId id, size_t channels,
                                               int rank) {
  auto values = reals(graph, id);
  if (!values) return std::nullopt;
  const Shape& shape = graph.value(id).data.shape();
  if (values->size() == 1 && shape.rank() <= std::max(rank, 1)) {
    return std::vector<double>(channels, values->front());
  }
  if (rank < 2 || shape.rank() > rank || values->size() != channels) return std::nullopt;
  const int axis = shape.rank() - (rank - 1);  // where the channels stand in the constant
  if (axis < 0 || shape[axis] != static_cast<int64_t>(channels)) return std::nullopt;
  return values;
}

std::optional<Affine> add_or_mul(const Graph& graph, const Node& node, ValueId data,
                                 size_t channels) {
  if (node.inputs.size() != 2) return std::nullopt;
  const ValueId other = node.inputs[0] == data ? node.inputs[1] : node.inputs[0];
  const Shape& shape = graph.value(data).type.shape;
  const auto values = per_channel(graph, other, channels, shape.has_rank() ? shape.rank() : 0);
  if (!values) return std::nullopt;
  if (node.op == "Mul") return Affine{*values, std::vector<double>(channels, 0.0)};
  return Affine{std::vector<double>(channels, 1.0), *values};
}

std::optional<Affine> affine_of(const Graph& graph, const Node& node, ValueId data,
                                size_t channels) {
  if (!node.domain.empty() || !node.output(0)) return std::nullopt;
  if (node.op == "BatchNormalization" && node.input(0) == data) {
    return batch_norm(graph, node, channels);
  }
  if (node.op == "Add" || node.op == "Mul") return add_or_mul(graph, node, data, channels);
  return std::nullopt;
}

// Which output channel each weight belongs to.
struct WeightLayout {
  size_t channels = 0;
  size_t inner = 1;   // elements behind the channel axis
  size_t extent = 1;  // of the channel axis
  size_t groups = 1;  // ConvTranspose: the axis before is split into groups
  size_t outer = 1;   // elements before the channel axis

  size_t channel(size_t index) const {
    const size_t group = index / (inner * extent) / (outer / groups);
    return group * extent + index / inner % extent;
  }
};

std::optional<WeightLayout> weight_layout(const Node& node, const Shape& weight) {
  const auto layout = [&](int axis, size_t groups) {
    const auto extent = static_cast<size_t>(weight[axis]);
    return WeightLayout{.channels = extent * groups,
                        .inner = static_cast<size_t>(weight.elements(axis + 1, weight.rank())),
                        .extent = extent,
                        .groups = groups,
                        .outer = static_cast<size_t>(weight.elements(0, axis))};
  };
  const auto group = static_cast<size_t>(node.attributes.integer("group", 1));
  if (weight.elements() == 0 || group == 0) return std::nullopt;
  if (node.op == "Conv" && weight.rank() >= 3) return layout(0, 1);
  if (node.op == "ConvTranspose" && weight.rank() >= 3 &&
      static_cast<size_t>(weight[0]) % group == 0) {
    return layout(1, group);
  }
  if (node.op == "Gemm" && weight.rank() == 2) {
    return layout(node.attributes.integer("transB", 0) != 0 ? 0 : 1, 1);
  }
  return std::nullopt;
}

// The layer's bias as it is added to channel c.
std::optional<std::vector<double>> bias_of(const Graph& graph, const Node& node, size_t channels) {
  if (!node.input(2)) return std::vector<double>(channels, 0.0);
  auto bias = reals(graph, node.input(2));
  if (!bias) return std::nullopt;
  const Shape& shape = graph.value(node.input(2)).data.shape();
  if (bias->size() == 1) bias->assign(channels, bias->front());
  if (bias->size() != channels) return std::nullopt;
  // Gemm: [N] or [1,N], not [N,1].
  if (shape.rank() == 2 && shape[1] != static_cast<int64_t>(channels) && shape.elements() != 1) {
    return std::nullopt;
  }
  const double beta = node.op == "Gemm" ? node.attributes.real("beta", 1.0F) : 1.0;
  for (double& value : *bias) value *= beta;
  return bias;
}

// Replaces input `i` of the layer; in place where nobody else reads the old constant.
void put_constant(Graph& graph, GraphEditor& editor, NodeId layer, size_t i, Tensor data,
                  const std::string& stem) {
  const ValueId old = graph.node(layer).input(i);
  if (old && editor.only_consumer(old) == layer) {
    Value& value = graph.value(old);
    value.type.shape = data.shape();
    value.data = std::move(data);
    return;
  }
  editor.set_input(layer, i, editor.add_constant(stem, std::move(data)));
}

Tensor from_reals(const std::vector<double>& values, DType dtype, const Shape& shape) {
  return convert(Tensor::of<double>(shape, values), dtype);
}

// Each weight, of type T, times the gain of its channel: in f64, rounded once.
template <typename T>
Tensor scaled_as(const Tensor& weight, const WeightLayout& layout,
                 const std::vector<double>& gain) {
  Tensor result(weight.dtype(), weight.shape());
  const std::span<const T> from = weight.data<T>();
  const std::span<T> to = result.data<T>();
  for (size_t begin = 0; begin < from.size(); begin += layout.inner) {
    const double of_channel = gain[layout.channel(begin)];
    for (size_t i = begin; i < begin + layout.inner; ++i) {
      to[i] = static_cast<T>(static_cast<double>(from[i]) * of_channel);
    }
  }
  return result;
}

Tensor scaled(const Tensor& weight, const WeightLayout& layout, const std::vector<double>& gain) {
  const DType dtype = weight.dtype();
  if (dtype == DType::f32) return scaled_as<float>(weight, layout, gain);
  return convert(scaled_as<double>(convert(weight, DType::f64), layout, gain), dtype);
}

bool fold(Graph& graph, GraphEditor& editor, NodeId id) {
  const Node& layer = graph.node(id);
  if (!layer.domain.empty() || !layer.input(1) || !layer.output(0)) return false;
  const Value& weight = graph.value(layer.inputs[1]);
  const ValueId result = layer.outputs[0];
  if (!weight.is_constant() || weight.type.quant || graph.value(result).type.quant) return false;
  const auto layout = weight_layout(layer, weight.data.shape());
  const auto next_id = editor.only_consumer(result);
  if (!layout || !next_id) return false;
  const Node& next = graph.node(*next_id);
  const auto affine = affine_of(graph, next, result, layout->channels);
  if (!affine || !is_float(weight.data.dtype())) return false;
  auto bias = bias_of(graph, layer, layout->channels);
  if (!bias || !editor.can_replace(next.outputs[0], result)) return false;

  for (size_t c = 0; c < bias->size(); ++c) {
    (*bias)[c] = (*bias)[c] * affine->gain[c] + affine->shift[c];
  }
  const DType dtype = weight.data.dtype();
  const auto channels = static_cast<int64_t>(layout->channels);
  const std::string stem = weight.name;
  const bool scales = std::ranges::any_of(affine->gain, [](double gain) { return gain != 1.0; });
  if (scales) {
    put_constant(graph, editor, id, 1, scaled(weight.data, *layout, affine->gain), stem);
  }
  put_constant(graph, editor, id, 2, from_reals(*bias, dtype, {channels}),
               graph.node(id).name + "_bias");
  if (layer.op == "Gemm" && layer.attributes.has("beta")) graph.node(id).attributes.erase("beta");
  graph.value(result).type.quant = graph.value(next.outputs[0]).type.quant;
  editor.remove(*next_id);
  editor.replace(next.outputs[0], result);
  return true;
}

int fold_in(Graph& graph) {
  infer_types(graph);
  GraphEditor editor(graph);
  int folded = 0;
  for (NodeId id : graph.nodes()) {
    while (!editor.is_removed(id) && fold(graph, editor, id)) ++folded;
  }
  editor.finish();
  if (folded > 0) graph.prune();
  return folded;
}

}  // namespace

int fold_batch_norm(Graph& graph) {
  return edit_every_graph(graph, [](Graph& one, const std::string&) { return fold_in(one); });
}

}  // namespace nibble
