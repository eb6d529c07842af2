// The normalisations that a network in training has behind its convolutions.
#include <algorithm>

#include "base/check.h"
#include "train/torch/network.h"

namespace nibble {

// Behind each convolution with a weight of codes, a scale per output channel, and a bias, both its
// own.
void Network::add_norms() {
  for (const NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    if (node.op != "Conv" || parameter_role(graph_, node, 1) != ParameterRole::weight ||
        parameter_role(graph_, node, 2) != ParameterRole::bias) {
      continue;
    }
    const ValueId weight = node.inputs[1], bias = node.inputs[2];
    const int index = quantizer_of_[static_cast<size_t>(weight.index)];
    if (index < 0 || graph_.consumers(weight).size() != 1 || graph_.consumers(bias).size() != 1) {
      continue;
    }
    const QuantParams& grid = quantizers_[static_cast<size_t>(index)].params;
    if (grid.granularity != Granularity::per_channel || grid.axis != 0) continue;
    const int64_t channels = graph_.value(weight).data.shape()[0];
    const FoldedNorm& norm =
        norms_.emplace(id, FoldedNorm(weight, bias, channels, device_)).first->second;
    parameters_.push_back({.name = graph_.value(weight).name + ".gain",
                           .of = {},
                           .role = ParameterRole::norm,
                           .tensor = norm.gain()});
  }
}

void Network::start_norms() {
  if (norms_started_) return;
  for (auto& [id, norm] : norms_) {
    norm.start(constants_[static_cast<size_t>(norm.weight().index)],
               parameters_[quantizer(norm.weight()).parameter].tensor,
               constants_[static_cast<size_t>(norm.bias().index)]);
  }
  norms_started_ = true;
  remember_scales();
}

const FoldedNorm* Network::norm_of(ValueId constant) const {
  if (!norms_started_) return nullptr;
  const auto found = std::ranges::find_if(norms_, [&](const auto& entry) {
    return entry.second.weight() == constant || entry.second.bias() == constant;
  });
  return found != norms_.end() ? &found->second : nullptr;
}

torch::Tensor Network::folded(const torch::Tensor& real, ValueId constant) const {
  const FoldedNorm* norm = norm_of(constant);
  if (norm == nullptr) return real;
  const torch::Tensor factor = norm->factor();
  if (norm->weight() == constant) return real * FoldedNorm::by_row(factor, real);
  return real - norm->mean() * factor;
}

torch::Tensor Network::folded_scale(const Quantizer& quantizer) const {
  const torch::Tensor scale = parameters_[quantizer.parameter].tensor.detach();
  const FoldedNorm* norm = norm_of(quantizer.values[0]);
  return norm == nullptr ? scale : scale * norm->factor().detach();
}

torch::Tensor Network::run_normalised(FoldedNorm& norm, const Node& node,
                                      const std::vector<torch::Tensor>& arguments,
                                      const Mode& mode) {
  const torch::Tensor& bias = arguments.at(2);
  const torch::Tensor z = run_torch_op(*find_torch_op(node.op, node.domain), node, graph_.opset(),
                                       {arguments[0], arguments[1], {}}, {})[0];
  if (!mode.measures_norms) return norm.run(z, bias, mode.among.ranks);
  norm.measure(z);
  std::vector<int64_t> extents(static_cast<size_t>(z.dim()), 1);
  extents[1] = bias.numel();
  return z + bias.reshape(extents);
}

}  // namespace nibble
