// A forward pass of the network: node by node, typed values fake-quantized.
#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "passes/every_graph.h"
#include "train/torch/network.h"

namespace nibble {
namespace {

uint64_t mix(uint64_t seed, uint64_t salt) {
  return Random(seed ^ (salt * 0x9e3779b97f4a7c15ULL)).next();
}

}  // namespace

torch::Tensor Network::quantized(ValueId value, const torch::Tensor& real, const Mode& mode) {
  if (const auto soft = soft_.find(value); soft != soft_.end()) return soft->second.soft();
  const int index = quantizer_of_[static_cast<size_t>(value.index)];
  if (index < 0 || already_on_grid_[static_cast<size_t>(value.index)]) return real;
  Quantizer& quantizer = quantizers_[static_cast<size_t>(index)];
  if (quantizer.gradient_scale == 0) {
    const int64_t per_sample =
        real.numel() / std::max<int64_t>(real.dim() > 0 ? real.size(0) : 1, 1);
    quantizer.gradient_scale = lsq_gradient_scale(per_sample, quantizer.params);
  }
  const torch::Tensor scale =
      spread_groups(parameters_[quantizer.parameter].tensor, quantizer.params, real.sizes());
  Unrounded unrounded;
  if (!graph_.value(value).is_constant()) {
    unrounded = {static_cast<uint32_t>(mix(mode.seed, static_cast<uint64_t>(value.index))),
                 mode.unrounded};
  }
  return fake_quantize(real, scale, quantizer.range, quantizer.gradient_scale, unrounded);
}

void Network::load_constants(std::vector<torch::Tensor>& values, const Mode& mode) {
  values = constants_;
  for (int32_t i = 0; i < graph_.value_count(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (!constants_[at].defined()) continue;
    values[at] = quantized({i}, constants_[at], mode);
    if (!mode.training) values[at] = folded(values[at], {i});
  }
  for (const BiasGrid& grid : bias_grids_) {
    if (mode.training && norm_of(grid.bias) != nullptr) continue;  // the shift of a normalisation
    torch::Tensor& bias = values[static_cast<size_t>(grid.bias.index)];
    bias = round_to_grid(bias, bias_scale(grid));
  }
}

std::vector<torch::Tensor> Network::forward(const std::vector<torch::Tensor>& inputs,
                                            std::span<const ValueId> wanted, const Mode& mode) {
  return run(inputs, wanted, mode, {});
}

std::vector<torch::Tensor> Network::run_branch(const Node& node, NodeId id, bool condition,
                                               const Mode& mode, const Around& around) {
  const std::string_view wanted = condition ? "then_branch" : "else_branch";
  for (Body& body : bodies_) {
    if (body.owner != id || body.attribute != wanted) continue;
    Network& network = *body.network;
    std::vector<torch::Tensor> results = network.run({}, network.graph_.outputs, mode, around);
    multiply_adds_ += network.multiply_adds_;
    return results;
  }
  fail(ErrorCode::invalid_model, "{}: the branch {} is missing", describe(node), wanted);
}

std::vector<torch::Tensor> Network::run_node(NodeId id, const std::vector<torch::Tensor>& arguments,
                                             const Mode& mode, const Around& around) {
  const Node& node = graph_.node(id);
  const auto evaluate = [&](Evaluated& evaluated) {
    std::vector<torch::Tensor> read;
    for (const ValueId value : evaluated.reads()) read.push_back(around(graph_.value(value).name));
    return evaluated.run(read, device_);
  };
  if (const auto at = evaluated_.find(id); at != evaluated_.end()) return evaluate(at->second);
  if (mode.measures_norms || (norms_started_ && mode.training)) {
    const auto norm = norms_.find(id);
    if (norm != norms_.end()) return {run_normalised(norm->second, node, arguments, mode)};
  }
  if (node.op == "If" && node.domain.empty()) {
    return run_branch(node, id, arguments.at(0).item<bool>(), mode, around);
  }
  std::optional<Error> refusal;
  try {
    return run_torch_op(
        *find_torch_op(node.op, node.domain), node, graph_.opset(), arguments,
        {mode.training, mix(mode.seed, static_cast<uint64_t>(id.index)), mode.among});
  } catch (const Error& error) {
    const bool differentiated = torch::GradMode::is_enabled() &&
                                std::ranges::any_of(arguments, [](const torch::Tensor& argument) {
                                  return argument.defined() && argument.requires_grad();
                                });
    if (error.code() != ErrorCode::unsupported || needs_gradient(node) || differentiated) throw;
    refusal = error;
  }
  try {
    return evaluate(evaluated_.emplace(id, Evaluated(graph_, node)).first->second);
  } catch (const Error&) {
    throw *refusal;
  }
}

std::vector<torch::Tensor> Network::run(const std::vector<torch::Tensor>& inputs,
                                        std::span<const ValueId> wanted, const Mode& mode,
                                        const Around& around) {
  std::vector<torch::Tensor> values;
  load_constants(values, mode);
  multiply_adds_ = 0;
  const auto slot = [&](ValueId id) -> torch::Tensor& {
    return values[static_cast<size_t>(id.index)];
  };
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    slot(graph_.inputs[i]) =
        mode.rounded_inputs ? inputs.at(i) : quantized(graph_.inputs[i], inputs.at(i), mode);
  }
  // What a body captures comes from around it.
  const Around named = [&](const std::string& name) -> torch::Tensor {
    const auto id = graph_.find_value(name);
    if (id && slot(*id).defined()) return slot(*id);
    check(static_cast<bool>(around), "a body captures a value that nothing around it has");
    return around(name);
  };
  const auto read = [&](ValueId id) {
    return slot(id).defined() || !is_free(graph_, id) ? slot(id) : named(graph_.value(id).name);
  };
  const std::vector<NodeId> nodes = graph_.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = graph_.node(nodes[i]);
    std::vector<torch::Tensor> arguments;
    for (ValueId input : node.inputs) arguments.push_back(input ? read(input) : torch::Tensor());
    std::vector<torch::Tensor> results;
    try {
      results = with_context([&] { return describe(node); },
                             [&] { return run_node(nodes[i], arguments, mode, named); });
    } catch (const c10::Error& error) {
      fail(ErrorCode::invalid_model, "{}: {}", describe(node), error.what_without_backtrace());
    }
    if (parameter_role(graph_, node, 1) == ParameterRole::weight && results[0].dim() > 1) {
      const int64_t channels = results[0].size(node.op == "MatMul" ? -1 : 1);
      multiply_adds_ += results[0].numel() / std::max<int64_t>(channels, 1) * arguments[1].numel();
    }
    for (size_t out = 0; out < node.outputs.size() && out < results.size(); ++out) {
      if (node.outputs[out])
        slot(node.outputs[out]) = quantized(node.outputs[out], results[out], mode);
    }
    for (ValueId value : released_after_[i]) {
      if (std::ranges::find(wanted, value) == wanted.end()) slot(value) = torch::Tensor();
    }
  }
  std::vector<torch::Tensor> outputs;
  for (ValueId value : wanted) {
    outputs.push_back(read(value));
    if (!outputs.back().defined()) {
      fail(ErrorCode::unsupported, "training does not compute '{}'", graph_.value(value).name);
    }
  }
  return outputs;
}

}  // namespace nibble
