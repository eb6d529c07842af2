// What of a graph is learned, and what it starts from: parameters, quantizers, bodies.
#include <algorithm>

#include "base/check.h"
#include "ops/op.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "train/torch/network.h"
#include "train/torch/tensors.h"

namespace nibble {

Network::Network(const Graph& graph, const Origin& origin, torch::Device device, Use use,
                 std::span<const PairOrder> pair_orders)
    : Network(graph, origin, device, use, pair_orders, {}) {}

Network::Network(const Graph& graph, const Origin& origin, torch::Device device, Use use,
                 std::span<const PairOrder> pair_orders, const Names& learned_around)
    : graph_(graph), device_(device), use_(use) {
  hand_constants_to_bodies(graph_);
  const auto count = static_cast<size_t>(graph_.value_count());
  constants_.resize(count);
  quantizer_of_.assign(count, -1);
  already_on_grid_.assign(count, false);
  add_constants(origin);
  add_activation_quantizers();
  add_bias_grids();
  if (use == Use::normalised_training) add_norms();
  add_pair_limits(pair_orders);
  all_parameters_ = parameters_;
  find_learned(origin, pair_orders, learned_around);
  widen_scales();
  find_releases();
}

namespace {

// The body of the node of the same name in another graph; nullptr if there is none.
const Graph* counterpart_body(const Graph* other, const Node& node, const std::string& attribute) {
  if (other == nullptr) return nullptr;
  for (const NodeId id : other->nodes()) {
    const Node& candidate = other->node(id);
    if (candidate.name != node.name || candidate.op != node.op) continue;
    const Attribute* found = candidate.attributes.find(attribute);
    const auto* body =
        found != nullptr ? std::get_if<std::shared_ptr<const Graph>>(found) : nullptr;
    if (body != nullptr) return body->get();
  }
  return nullptr;
}

}  // namespace

bool Network::needs_gradient(const Node& node) const {
  const auto is_learned = [&](ValueId value) {
    return value && learned_[static_cast<size_t>(value.index)];
  };
  const bool reads = std::ranges::any_of(node.inputs, is_learned) ||
                     std::ranges::any_of(node.captures, is_learned);
  return reads && std::ranges::any_of(node.outputs, [&](ValueId value) {
           return value && is_float(graph_.value(value).type.dtype);
         });
}

// Also makes the networks of branches, and refuses what has no gradient.
void Network::find_learned(const Origin& origin, std::span<const PairOrder> pair_orders,
                           const Names& learned_around) {
  learned_.assign(constants_.size(), false);
  for (int32_t i = 0; i < graph_.value_count(); ++i) {
    const auto at = static_cast<size_t>(i);
    learned_[at] =
        use_ == Use::training &&
        (quantizer_of_[at] >= 0 || (constants_[at].defined() && constants_[at].requires_grad()) ||
         (is_free(graph_, {i}) && learned_around.contains(graph_.value({i}).name)));
  }
  for (const NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    bool learned = needs_gradient(node);
    if (node.op == "If" && node.domain.empty()) {
      Names around;
      for (const ValueId value : node.captures) {
        if (learned_[static_cast<size_t>(value.index)]) around.insert(graph_.value(value).name);
      }
      for (const std::string attribute : {"then_branch", "else_branch"}) {
        const auto& body = std::get<std::shared_ptr<const Graph>>(*node.attributes.find(attribute));
        bodies_.push_back(
            {id, attribute,
             std::unique_ptr<Network>(new Network(
                 *body, {counterpart_body(origin.graph, node, attribute), origin.keeps_codes},
                 device_, use_, pair_orders, around))});
        const Network& network = *bodies_.back().network;
        all_parameters_.insert(all_parameters_.end(), network.all_parameters_.begin(),
                               network.all_parameters_.end());
        learned = learned || std::ranges::any_of(body->outputs, [&](ValueId output) {
                    return network.learned_[static_cast<size_t>(output.index)];
                  });
      }
    } else if (find_torch_op(node.op, node.domain) == nullptr) {
      if (learned) {
        fail(ErrorCode::unsupported,
             "{}: training has no gradient for this operator, and what it reads depends on trained "
             "weights",
             describe(node));
      }
      evaluated_.emplace(id, Evaluated(graph_, node));
    }
    if (!learned) continue;
    for (const ValueId out : node.outputs) {
      if (out && is_float(graph_.value(out).type.dtype)) {
        learned_[static_cast<size_t>(out.index)] = true;
      }
    }
  }
}

void Network::find_releases() {
  std::vector<bool> seen(constants_.size(), false);
  const std::vector<NodeId> nodes = graph_.nodes();
  released_after_.resize(nodes.size());
  for (size_t i = nodes.size(); i-- > 0;) {
    const Node& node = graph_.node(nodes[i]);
    const auto release = [&](ValueId value) {
      if (!value || graph_.value(value).is_constant() || seen[static_cast<size_t>(value.index)])
        return;
      seen[static_cast<size_t>(value.index)] = true;
      released_after_[i].push_back(value);
    };
    std::ranges::for_each(node.inputs, release);
    std::ranges::for_each(node.captures, release);
  }
}

int Network::add_quantizer(ValueId value, const QuantParams& params) {
  const torch::Tensor scale = torch::tensor(params.scale).to(device_);
  quantizers_.push_back({.values = {value},
                         .params = params,
                         .parameter = parameters_.size(),
                         .previous = scale.clone(),
                         .range = {},
                         .gradient_scale = 0});
  const std::string& name = graph_.value(value).name;
  parameters_.push_back({.name = name + ".scale",
                         .of = name,
                         .role = ParameterRole::scale,
                         .tensor = scale.clone().set_requires_grad(true)});
  return quantizer_of_[static_cast<size_t>(value.index)] = static_cast<int>(quantizers_.size()) - 1;
}

// From the middle of each code's cell towards `real`, but not across its border, nor up to the
// outermost codes, from where on no gradient comes through.
void Network::move_within_cells(torch::Tensor& constant, const torch::Tensor& real,
                                const Quantizer& quantizer) const {
  constexpr double kInside = 0.49, kEdge = 0.01;  // of a step
  const torch::NoGradGuard no_gradient;
  const torch::Tensor step =
      spread_groups(parameters_[quantizer.parameter].tensor, quantizer.params, constant.sizes())
          .expand_as(constant);
  const torch::Tensor moved =
      constant + torch::clamp(real - constant, -kInside * step, kInside * step);
  constant.copy_(torch::clamp(moved, (quantizer.range.low + kEdge) * step,
                              (quantizer.range.high - kEdge) * step));
}

void Network::add_constants(const Origin& origin) {
  const auto load = [&](ValueId id, const Node& node, size_t slot) {
    const Value& value = graph_.value(id);
    torch::Tensor& constant = constants_[static_cast<size_t>(id.index)];
    if (constant.defined()) return;
    const auto role = parameter_role(graph_, node, slot);
    constant = to_torch(role && origin.graph != nullptr && !origin.keeps_codes
                            ? starting_point(*origin.graph, value, node, slot, *role)
                            : real_data(value),
                        is_float(value.type.dtype) ? device_ : torch::Device(torch::kCPU));
    if (is_running_statistic(node, slot)) {
      statistics_.push_back(constant);
      statistics_values_.push_back(id);
    }
    if (!role || use_ == Use::inference) return;
    parameters_.push_back(
        {.name = value.name, .of = {}, .role = *role, .tensor = constant.set_requires_grad(true)});
    if (!value.type.quant || value.type.quant->storage == DType::i32) return;
    const auto sizes = constant.sizes();
    Quantizer& quantizer = quantizers_[static_cast<size_t>(add_quantizer(id, *value.type.quant))];
    quantizer.range = clamp_range(quantizer.params, sizes, device_);
    const auto groups = static_cast<int64_t>(quantizer.params.scale.size());
    quantizer.gradient_scale = lsq_gradient_scale(constant.numel() / groups, quantizer.params);
    if (!origin.keeps_codes || origin.graph == nullptr) return;
    if (const auto real = reals_behind(*origin.graph, value, node, slot)) {
      move_within_cells(constant, to_torch(*real).to(device_), quantizer);
    }
  };
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (node.inputs[slot] && graph_.value(node.inputs[slot]).is_constant()) {
        load(node.inputs[slot], node, slot);
      }
    }
  }
  // What a body gives of the constants around it, and what the graph gives.
  const auto load_plain = [&](ValueId id) {
    const Value& value = graph_.value(id);
    torch::Tensor& constant = constants_[static_cast<size_t>(id.index)];
    if (constant.defined() || !value.is_constant()) return;
    constant = to_torch(real_data(value),
                        is_float(value.type.dtype) ? device_ : torch::Device(torch::kCPU));
  };
  for (NodeId id : graph_.nodes()) std::ranges::for_each(graph_.node(id).captures, load_plain);
  std::ranges::for_each(graph_.outputs, load_plain);
}

void Network::add_activation_quantizers() {
  const auto quantize = [&](ValueId value) {
    const auto& quant = graph_.value(value).type.quant;
    if (!quant) return;
    if (quant->granularity != Granularity::per_tensor) {
      fail(ErrorCode::unsupported,
           "activation '{}': training quantizes activations per tensor only",
           graph_.value(value).name);
    }
    Quantizer& quantizer = quantizers_[static_cast<size_t>(add_quantizer(value, *quant))];
    quantizer.range = clamp_range(*quant, {}, device_);
  };
  for (ValueId input : graph_.inputs) quantize(input);
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    const OpRow* row = find_op(node.op, node.domain);
    const ValueId source = node.input(0);
    const bool shares = row != nullptr && row->quant == QuantRole::same_codes && source &&
                        quantizer_of_[static_cast<size_t>(source.index)] >= 0 &&
                        !graph_.value(source).is_constant();
    for (ValueId out : node.outputs) {
      if (!out) continue;
      if (shares && graph_.value(out).type.quant == graph_.value(source).type.quant) {
        const int shared = quantizer_of_[static_cast<size_t>(source.index)];
        quantizer_of_[static_cast<size_t>(out.index)] = shared;
        quantizers_[static_cast<size_t>(shared)].values.push_back(out);
        already_on_grid_[static_cast<size_t>(out.index)] =
            row->writes == nullptr || !row->writes(node);
      } else {
        quantize(out);
      }
    }
  }
}

void Network::add_bias_grids() {
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    const ValueId bias = node.input(2);
    if (parameter_role(graph_, node, 2) != ParameterRole::bias) continue;
    const auto& quant = graph_.value(bias).type.quant;
    if (!quant || quant->storage != DType::i32) continue;
    const int input = quantizer_of_[static_cast<size_t>(node.inputs[0].index)];
    const int weight = quantizer_of_[static_cast<size_t>(node.inputs[1].index)];
    if (input < 0 || weight < 0) {
      fail(ErrorCode::invalid_model, "{}: its bias is quantized, but not its input and its weight",
           describe(node));
    }
    bias_grids_.push_back({bias, input, weight});
  }
}

void Network::add_pair_limits(std::span<const PairOrder> orders) {
  for (const NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    if (orders.empty() || !multiplies_codes(node)) continue;
    const ValueId weight = weight_of(node), data = data_of(node);
    const int of_weight = quantizer_of_[static_cast<size_t>(weight.index)];
    const int of_data = quantizer_of_[static_cast<size_t>(data.index)];
    if (of_weight < 0 || of_data < 0 || !graph_.value(weight).is_constant()) continue;
    const QuantParams& codes = quantizers_[static_cast<size_t>(of_weight)].params;
    const QuantParams& grid = quantizers_[static_cast<size_t>(of_data)].params;
    const bool meet = !is_signed(grid.storage) && bits_of(grid.storage) <= 8 &&
                      2 * std::max(codes.qmax, -codes.qmin) > largest_pair_sum(grid.qmax);
    if (!meet || codes.granularity == Granularity::per_block) continue;
    for (const PairOrder order : orders) {
      const WeightPairs pairs(node, graph_.value(weight).data.shape(), order);
      if (pairs.none()) continue;
      safe_weights_.push_back({weight, data, greatest_real(graph_, data), {pairs, device_}});
    }
  }
}

}  // namespace nibble
