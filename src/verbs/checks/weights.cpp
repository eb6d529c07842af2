// Quantized weights: do they keep to what the runtime multiplies with?
#include <algorithm>

#include "ops/roles.h"
#include "ops/weight_pairs.h"
#include "verbs/checks/checks.h"

namespace nibble {
namespace {

// A layer whose weight is a quantized constant.
struct QuantizedLayer {
  const Node& node;
  const Value& weight;
  const QuantParams& codes;
  const std::optional<QuantParams>& data;  // of its data; nullopt: real
};

template <typename Visit>
void for_each_layer(const Graph& graph, const Visit& visit) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!is_weighted(node) || !weight_of(node) || !data_of(node)) continue;
    const Value& weight = graph.value(weight_of(node));
    if (!weight.is_constant() || !weight.type.quant) continue;
    visit(QuantizedLayer{node, weight, *weight.type.quant, graph.value(data_of(node)).type.quant});
  }
}

// The worst of the orders in which a target may add.
UnsafePairs worst_of(const Target& target, const Node& node, const Tensor& codes,
                     int32_t greatest) {
  const std::vector<int32_t> integers = unpack_integers(codes);
  UnsafePairs worst;
  for (const PairOrder order : target.pair_orders) {
    const UnsafePairs found = count_unsafe_pairs({node, codes.shape(), order}, integers, greatest);
    if (found.unsafe > worst.unsafe) worst = found;
  }
  return worst;
}

void tell_pairs(const CheckedGraph& checked, const Node& node, const UnsafePairs& found,
                int32_t greatest, Findings& findings) {
  if (found.unsafe == 0) return;
  findings.add(
      checked.name(node),
      "{}: {} of its {} pairs of weights that meet ({:.1f} %) can saturate, the worst with a sum "
      "of "
      "{} where {} is safe; {} adds such pairs in 16 bits on x86 CPUs without VNNI: quantize the "
      "float model with --target {}, which widens their scales",
      checked.name(node), found.unsafe, found.pairs,
      100.0 * static_cast<double>(found.unsafe) / static_cast<double>(found.pairs), found.worst,
      largest_pair_sum(greatest), checked.target.title, checked.target.name);
}

void check_pairs(const CheckedGraph& checked, Findings& findings) {
  const Graph& graph = checked.graph;
  for_each_layer(graph, [&](const QuantizedLayer& layer) {
    if (!multiplies_codes(layer.node) || !layer.data || is_signed(layer.data->storage) ||
        layer.data->bits() > 8 || !is_signed(layer.codes.storage) || layer.codes.bits() > 8) {
      return;
    }
    const int32_t greatest = greatest_code(*layer.data, greatest_real(graph, data_of(layer.node)));
    tell_pairs(checked, layer.node,
               worst_of(checked.target, layer.node, layer.weight.data, greatest), greatest,
               findings);
  });
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.domain.empty() || node.op != "MatMulInteger") continue;
    if (!checked.target.pairs_in_dynamic_products) continue;
    if (!node.input(0) || !node.input(1) || !graph.value(node.inputs[1]).is_constant()) continue;
    const Tensor& codes = graph.value(node.inputs[1]).data;
    const bool signed_data = graph.value(node.inputs[0]).type.dtype == DType::i8;
    if (codes.dtype() != DType::i8 || signed_data || codes.shape().rank() < 2) continue;
    tell_pairs(checked, node, worst_of(checked.target, node, codes, 255), 255, findings);
  }
}

void check_axis(const CheckedGraph& checked, Findings& findings) {
  for_each_layer(checked.graph, [&](const QuantizedLayer& layer) {
    const std::string name = checked.name(layer.node);
    const WeightIndex index(layer.node, layer.weight.data.shape());
    if (layer.codes.granularity == Granularity::per_channel &&
        layer.codes.axis != index.scale_axis()) {
      findings.add(name,
                   "{}: the scales of its weight '{}' lie along axis {}, but its output channels "
                   "along axis {}: it cannot be computed in integers; quantize per output channel",
                   name, layer.weight.name, layer.codes.axis, index.scale_axis());
    }
    if (layer.codes.granularity == Granularity::per_block && layer.data) {
      findings.add(
          name,
          "{}: its weight '{}' has a scale per block of {}, but its data are quantized: it "
          "cannot be computed in integers; give it one scale per output channel, or leave "
          "its data in float",
          name, layer.weight.name, layer.codes.block_size);
    }
  });
}

void check_zero_point(const CheckedGraph& checked, Findings& findings) {
  for_each_layer(checked.graph, [&](const QuantizedLayer& layer) {
    const std::string name = checked.name(layer.node);
    const std::vector<int32_t>& zero = layer.codes.zero_point;
    if (!is_signed(layer.codes.storage) && layer.data && !checked.target.unsigned_weights) {
      findings.add(name,
                   "{}: its weight '{}' is stored as {}, with which {} does not compute in "
                   "integers; store it signed, with zero point 0",
                   name, layer.weight.name, to_string(layer.weight.type), checked.target.title);
    }
    const bool same = std::ranges::all_of(zero, [&](int32_t z) { return z == zero[0]; });
    if (!same && layer.data && !is_matrix_product(layer.node)) {
      findings.add(name,
                   "{}: the zero points of its weight '{}' differ from channel to channel, which "
                   "integer convolutions do not take; quantize it symmetrically, with zero point 0",
                   name, layer.weight.name);
    }
  });
}

void check_bits(const CheckedGraph& checked, Findings& findings) {
  const Target& target = checked.target;
  for_each_layer(checked.graph, [&](const QuantizedLayer& layer) {
    const bool blocked = layer.codes.granularity == Granularity::per_block;
    const int least = blocked ? target.least_weight_bits : target.least_unblocked_weight_bits;
    const int bits = bits_of(layer.codes.storage);
    if (bits >= least) return;
    findings.add(
        checked.name(layer.node),
        "{}: its weight '{}' is stored in {} bits{}, and {} reads no fewer than {}; export "
        "it with --target {}",
        checked.name(layer.node), layer.weight.name, bits, blocked ? "" : " without blocks",
        target.title, least, target.name);
  });
}

}  // namespace

const CheckRow kSaturatingPairs = {
    "saturating-pairs", "no two products that an x86 CPU without VNNI adds in 16 bits can saturate",
    check_pairs};
const CheckRow kWeightAxis = {
    "weight-axis", "weights of integer layers have one scale per output channel, or one in all",
    check_axis};
const CheckRow kWeightZeroPoint = {"weight-zero-point",
                                   "zero points of weights are such as the target computes with",
                                   check_zero_point};
const CheckRow kWeightBits = {"weight-bits", "weights have as many bits as the target reads",
                              check_bits};

}  // namespace nibble
