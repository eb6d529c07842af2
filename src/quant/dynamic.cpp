#include "quant/dynamic.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "quant/scale_guards.h"
#include "quant/shared_constants.h"
#include "quant/weights.h"
#include "ranges/observer.h"
#include "ranges/rounding.h"

namespace nibble {
namespace {

constexpr int64_t kOnnxFloat = 1;  // TensorProto.DataType.FLOAT

class Rewriter {
 public:
  Rewriter(Graph& graph, const QuantizeOptions& options, ThreadPool& pool)
      : graph_(graph), options_(options), pool_(pool) {}

  void rewrite(const Layer& layer) {
    const Node node = graph_.node(layer.id);
    at_ = layer.id;
    stem_ = node.name;
    const bool conv = node.op == "Conv";
    Tensor weight = graph_.value(node.inputs[1]).data;
    if (node.op == "Gemm" && node.attributes.integer("transB", 0) != 0) weight = transposed(weight);
    const int axis = conv ? 0 : weight.shape().rank() - 1;
    QuantParams params = weight_params(
        weight, {.axis = axis}, layer.bits.weight_bits,
        Observer(find_observer(options_.weight_observer), options_.percentile), pool_);
    const int64_t channels = weight.shape()[axis];
    const PairGuard pairs = dynamic_pair_guard(conv, weight.shape(), find_target(options_.target),
                                               pair_orders(options_));
    const Tensor codes =
        dynamic_codes(find_rounding(options_.rounding), weight, pairs, params, pool_);
    const DynamicData& data = quantized_data(node.inputs[0]);
    Node product{.op = conv ? "ConvInteger" : "MatMulInteger", .name = name("integer")};
    product.inputs = {data.codes, constant("weight", codes), data.zero_point};
    if (conv) product.attributes = node.attributes;
    const ValueId sums = add(std::move(product), {.dtype = DType::i32});
    Node cast{.op = "Cast", .name = name("cast"), .inputs = {sums}};
    cast.attributes.set("to", kOnnxFloat);
    const ValueId reals = add(std::move(cast), f32());
    const Shape row = channel_shape(channels, conv ? weight.shape().rank() - 2 : 0);
    const ValueId weight_scale =
        constant("weight_scale", Tensor::of<float>(row, std::span<const float>(params.scale)));
    const ValueId scale =
        add({.op = "Mul", .name = name("scale"), .inputs = {data.scale, weight_scale}}, f32());
    Node scaled{.op = "Mul", .name = name("rescale"), .inputs = {reals, scale}};
    const ValueId bias = node.input(2);
    if (!bias) {
      finish(std::move(scaled), node.outputs[0]);
      return;
    }
    const ValueId result = add(std::move(scaled), f32());
    Tensor addend = graph_.value(bias).data;
    if (addend.elements() == channels) addend = addend.reshaped(row);
    finish({.op = "Add", .name = name("add"), .inputs = {result, constant("bias", addend)}},
           node.outputs[0]);
  }

 private:
  struct DynamicData {
    ValueId codes, scale, zero_point;
  };

  static TensorType f32() { return {.dtype = DType::f32}; }

  // Broadcasts over the result: [C] for a matrix product, [C,1,1] for an image.
  static Shape channel_shape(int64_t channels, int spatial) {
    Shape shape{channels};
    for (int i = 0; i < spatial; ++i) shape.push_back(1);
    return shape;
  }

  std::string name(std::string_view part) const {
    return graph_.unique_node_name(fmt::format("{}_{}", stem_, part));
  }
  ValueId value(std::string_view part, TensorType type) {
    return graph_.add_value(graph_.unique_value_name(fmt::format("{}_{}", stem_, part)),
                            std::move(type));
  }
  ValueId constant(std::string_view part, Tensor data) {
    return graph_.add_constant(graph_.unique_value_name(fmt::format("{}_{}", stem_, part)),
                               std::move(data));
  }
  ValueId add(Node node, TensorType type) {
    const ValueId output = value(node.op, std::move(type));
    node.outputs = {output};
    graph_.insert_node(at_, std::move(node));
    return output;
  }
  // The last node takes over the layer's own result.
  void finish(Node node, ValueId output) {
    node.outputs = {output};
    graph_.insert_node(at_, std::move(node));
    graph_.remove_node(at_);
  }

  // Shared by the layers that read the same data.
  const DynamicData& quantized_data(ValueId data) {
    const auto found = data_.find(data);
    if (found != data_.end()) return found->second;
    const DynamicData parts{value("data", {.dtype = DType::u8}), value("data_scale", f32()),
                            value("data_zero_point", {.dtype = DType::u8})};
    graph_.insert_node(at_, {.op = "DynamicQuantizeLinear",
                             .name = name("quantize"),
                             .inputs = {data},
                             .outputs = {parts.codes, parts.scale, parts.zero_point}});
    return data_.emplace(data, parts).first->second;
  }

  Graph& graph_;
  const QuantizeOptions& options_;
  ThreadPool& pool_;
  std::map<ValueId, DynamicData> data_;
  NodeId at_;
  std::string stem_;
};

}  // namespace

PairGuard dynamic_pair_guard(bool conv, const Shape& weight, const Target& target,
                             std::span<const PairOrder> orders) {
  if (conv || !target.pairs_in_dynamic_products) return {};
  const WeightAxes axes{.output = weight.rank() - 1, .reduction = weight.rank() - 2};
  std::vector<WeightPairs> pairs;
  for (const PairOrder order : orders) pairs.emplace_back(axes, true, weight, order);
  return {std::move(pairs), 255};
}

Tensor dynamic_codes(const RoundingRow& rounding, const Tensor& weight, const PairGuard& pairs,
                     QuantParams& params, ThreadPool& pool) {
  constexpr double kLargestSum = 2147483647.0 / 255;
  for (;;) {
    const Tensor rounded = round_weight(rounding, weight, params, pool);
    if (pairs.widen(weight, rounded, params)) continue;
    const std::vector<int32_t> codes = unpack_integers(rounded);
    std::vector<double> sums(params.scale.size(), 0);
    for (size_t i = 0; i < codes.size(); ++i) {
      const auto c = quant_group(params, weight.shape(), static_cast<int64_t>(i));
      sums[static_cast<size_t>(c)] += std::abs(codes[i]);
    }
    bool changed = false;
    for (size_t c = 0; c < sums.size(); ++c) {
      if (sums[c] <= kLargestSum) continue;
      params.scale[c] = static_cast<float>(params.scale[c] * (sums[c] / kLargestSum) * 1.01);
      changed = true;
    }
    if (!changed) return pack_integers(DType::i8, weight.shape(), codes);
  }
}

void quantize_dynamically(Graph& graph, const std::vector<Layer>& layers,
                          const QuantizeOptions& options) {
  ThreadPool pool(options.threads);
  Rewriter rewriter(graph, options, pool);
  for (Layer layer : layers) {
    const std::string& op = graph.node(layer.id).op;
    const bool known = op == "Conv" || op == "Gemm" || op == "MatMul";
    with_context([&] { return "quantizing " + describe(graph.node(layer.id)); },
                 [&] {
                   if (known && layer.bits.weight_bits <= 8) {
                     rewriter.rewrite(layer);
                     return;
                   }
                   layer.bits.activation_bits = 0;
                   const LayerTask task{.layer = layer};
                   quantize_layers(graph, {std::span(&task, 1), {}}, options, pool);
                 });
  }
}

}  // namespace nibble
