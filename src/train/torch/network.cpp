#include "train/torch/network.h"

#include <algorithm>

#include "base/check.h"
#include "passes/every_graph.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

// The gradient of a step size depends on the units of its tensor by their square; what a step may
// change is bounded in proportion, so that an input in thousandths trains like one in units.
constexpr double kLargestStep = 0.02;

}  // namespace

// Codes get smaller as scales widen, and each round widens by a code at least.
void Network::widen_scales() {
  const torch::NoGradGuard no_gradient;
  for (const SafeWeight& safe : safe_weights_) {
    const Quantizer& of_data = quantizer(safe.data);
    QuantParams grid = of_data.params;
    grid.scale = {parameters_[of_data.parameter].tensor.item<float>()};
    const int32_t limit = largest_pair_sum(greatest_code(grid, safe.greatest));
    Quantizer& of_weight = quantizer(safe.weight);
    torch::Tensor& scale = parameters_[of_weight.parameter].tensor;
    const torch::Tensor& real = constants_[static_cast<size_t>(safe.weight.index)];
    for (;;) {
      const torch::Tensor codes =
          torch::div(real, spread_groups(scale, of_weight.params, real.sizes()))
              .round_()
              .clamp_(of_weight.range.low, of_weight.range.high);
      const torch::Tensor excess = safe.limit.worst(codes, scale.numel()) / limit;
      if (!(excess > 1).any().item<bool>()) break;
      scale.mul_(excess.clamp_min(1));
    }
    of_weight.previous.copy_(scale);
  }
}

torch::Tensor Network::bias_scale(const BiasGrid& grid) const {
  const auto scale = [&](int index) {
    return folded_scale(quantizers_[static_cast<size_t>(index)]);
  };
  return scale(grid.input) * scale(grid.weight);
}

bool Network::keeps_pairs_safe() const {
  return !safe_weights_.empty() || std::ranges::any_of(bodies_, [](const Body& body) {
    return body.network->keeps_pairs_safe();
  });
}

std::optional<NodeId> Network::branching() const {
  if (bodies_.empty()) return std::nullopt;
  return bodies_.front().owner;
}

std::vector<torch::Tensor> Network::state() const {
  std::vector<torch::Tensor> state;
  for (const Parameter& parameter : parameters_) state.push_back(parameter.tensor.detach());
  state.insert(state.end(), statistics_.begin(), statistics_.end());
  for (const auto& [node, norm] : norms_) {
    state.push_back(norm.mean());
    state.push_back(norm.variance());
  }
  for (const Body& body : bodies_) {
    const std::vector<torch::Tensor> inner = body.network->state();
    state.insert(state.end(), inner.begin(), inner.end());
  }
  return state;
}

void Network::set_state(const std::vector<torch::Tensor>& state) {
  const torch::NoGradGuard no_gradient;
  const std::vector<torch::Tensor> mine = this->state();
  check(mine.size() == state.size(), "set_state: the state is of another network");
  for (size_t i = 0; i < mine.size(); ++i) mine[i].copy_(state[i]);
  remember_scales();
}

void Network::remember_scales() {
  for (Quantizer& quantizer : quantizers_) {
    quantizer.previous.copy_(parameters_[quantizer.parameter].tensor);
  }
  for (Body& body : bodies_) body.network->remember_scales();
}

SoftRounding& Network::soften(const std::string& constant, const torch::Tensor& rounded) {
  const auto id = graph_.find_value(constant);
  check(id && quantizer_of_[static_cast<size_t>(id->index)] >= 0, "a quantized constant");
  const Quantizer& grid = quantizer(*id);
  const torch::Tensor& real = constants_[static_cast<size_t>(id->index)];
  const torch::Tensor step =
      spread_groups(parameters_[grid.parameter].tensor, grid.params, real.sizes());
  SoftRounding rounding = rounded.defined() ? SoftRounding(real, rounded, step, grid.range)
                                            : SoftRounding(real, step, grid.range);
  return soft_.insert_or_assign(*id, std::move(rounding)).first->second;
}

void Network::harden() {
  const torch::NoGradGuard no_gradient;
  for (const auto& [id, rounding] : soft_) {
    constants_[static_cast<size_t>(id.index)].copy_(rounding.hard());
  }
  soft_.clear();
}

void Network::project_scales() {
  const torch::NoGradGuard no_gradient;
  for (Quantizer& quantizer : quantizers_) {
    torch::Tensor& scale = parameters_[quantizer.parameter].tensor;
    scale.copy_(torch::clamp(scale, quantizer.previous * (1 - kLargestStep),
                             quantizer.previous * (1 + kLargestStep)));
    quantizer.previous.copy_(scale);
  }
  for (auto& [node, norm] : norms_) norm.project();
  widen_scales();
  for (Body& body : bodies_) body.network->project_scales();
}

Graph Network::inner_graph() const {
  Graph graph = graph_;
  const auto scales_of = [](const torch::Tensor& tensor) {
    const Tensor flat = from_torch(tensor);
    return std::vector<float>(flat.data<float>().begin(), flat.data<float>().end());
  };
  for (const Quantizer& quantizer : quantizers_) {
    for (ValueId value : quantizer.values) {
      graph.value(value).type.quant->scale = scales_of(folded_scale(quantizer));
    }
  }
  for (const BiasGrid& grid : bias_grids_) {
    QuantParams& quant = *graph.value(grid.bias).type.quant;
    quant.scale = scales_of(bias_scale(grid).expand({static_cast<int64_t>(quant.scale.size())}));
  }
  for (size_t i = 0; i < constants_.size(); ++i) {
    Value& value = graph.value({static_cast<int32_t>(i)});
    if (!constants_[i].defined() || !constants_[i].requires_grad()) continue;
    const ValueId id = {static_cast<int32_t>(i)};
    const int index = quantizer_of_[i];
    if (index >= 0) {  // by the scale that was trained, into which nothing is folded
      const Quantizer& trained = quantizers_[static_cast<size_t>(index)];
      QuantParams grid = *value.type.quant;
      grid.scale = scales_of(parameters_[trained.parameter].tensor);
      value.data = quantize_tensor(from_torch(constants_[i]), grid);
      continue;
    }
    const Tensor real = from_torch(folded(constants_[i], id));
    value.data = value.type.quant ? quantize_tensor(real, *value.type.quant) : real;
  }
  for (size_t i = 0; i < statistics_.size(); ++i) {
    graph.value(statistics_values_[i]).data = from_torch(statistics_[i]);
  }
  for (const Body& body : bodies_) {
    Graph inner = body.network->inner_graph();
    // A captured value has the grid that it has around the body.
    for (int32_t i = 0; i < inner.value_count(); ++i) {
      Value& value = inner.value({i});
      const auto outer = is_free(inner, {i}) ? graph.find_value(value.name) : std::nullopt;
      if (outer && value.type.quant) value.type.quant = graph.value(*outer).type.quant;
    }
    graph.node(body.owner)
        .attributes.set(body.attribute, std::make_shared<const Graph>(std::move(inner)));
  }
  return graph;
}

Graph Network::to_graph() const {
  Graph graph = inner_graph();
  graph.validate();
  return graph;
}

}  // namespace nibble
