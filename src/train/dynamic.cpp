#include "train/dynamic.h"

#include <algorithm>

#include "base/check.h"
#include "passes/pass.h"
#include "quant/dynamic.h"

namespace nibble {
namespace {

bool is_symmetric(const QuantParams& params) {
  return params.storage == DType::i8 &&
         std::ranges::all_of(params.zero_point, [](int32_t point) { return point == 0; });
}

// How the weight of a layer is quantized, by its constants of scales and zero points.
QuantParams params_of(const Tensor& codes, const Tensor& scale, const Tensor* zero_point,
                      bool conv) {
  const bool is_signed = codes.dtype() == DType::i8;
  QuantParams params{.storage = codes.dtype(),
                     .qmin = is_signed ? -128 : 0,
                     .qmax = is_signed ? 127 : 255,
                     .scale = {scale.data<float>().begin(), scale.data<float>().end()}};
  params.zero_point.assign(params.scale.size(), 0);
  if (zero_point != nullptr) {
    const std::vector<int32_t> points = unpack_integers(*zero_point);
    for (size_t i = 0; i < params.zero_point.size(); ++i) {
      params.zero_point[i] = points[points.size() == 1 ? 0 : i];
    }
  }
  // Of symmetric codes, -128 is none that Nibble gives, but may be there.
  const std::vector<int32_t> all = unpack_integers(codes);
  if (is_symmetric(params) && std::ranges::find(all, -128) == all.end()) params.qmin = -127;
  if (params.scale.size() > 1) {
    params.granularity = Granularity::per_channel;
    params.axis = conv ? 0 : 1;
  }
  return params;
}

// "fc1_integer" of Nibble, "fc1_quant" of ONNX Runtime: the name that the float network has.
std::string float_name(const Graph& graph, const std::string& name) {
  for (const std::string_view suffix : {"_integer", "_quant"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string stem = name.substr(0, name.size() - suffix.size());
    if (graph.unique_node_name(stem) == stem) return stem;
  }
  return name;
}

}  // namespace

DynamicTraining::DynamicTraining(const Graph& dynamic) : dynamic_(dynamic), trainable_(dynamic) {
  fuse_dynamic(trainable_);
  for (const NodeId id : trainable_.nodes()) {
    const Node& node = trainable_.node(id);
    if (node.domain == "nibble" && (node.op == "DynamicConv" || node.op == "DynamicMatMul")) {
      open(id);
    }
  }
  infer_types(trainable_);
}

void DynamicTraining::open(NodeId id) {
  const Node fused = trainable_.node(id);
  const bool conv = fused.op == "DynamicConv";
  Value& weight = trainable_.value(fused.inputs[1]);
  const Tensor* zero = fused.input(4) ? &trainable_.value(fused.inputs[4]).data : nullptr;
  const Tensor& scales = trainable_.value(fused.inputs[2]).data;
  // One scale for zero points of their own is no grid that training knows.
  if (zero != nullptr && zero->elements() > scales.elements()) return;
  const QuantParams params = params_of(weight.data, scales, zero, conv);
  const std::string scale = trainable_.value(fused.inputs[2]).name;
  const auto with_scale = std::ranges::find(layers_, scale, &DynamicLayer::scale);
  if (!weight.type.quant) {
    // A scale that another weight has too could not be learned for both.
    if (with_scale != layers_.end()) return;
    weight.type = {.dtype = DType::f32, .shape = weight.data.shape(), .quant = params};
    layers_.push_back({weight.name, scale, conv});
  } else if (with_scale == layers_.end() || with_scale->weight != weight.name ||
             *weight.type.quant != params) {
    return;  // the same codes stand for other numbers here
  }
  Node layer{.op = conv ? "Conv" : "MatMul",
             .name = float_name(trainable_, fused.name),
             .inputs = {fused.inputs[0], fused.inputs[1]},
             .outputs = fused.outputs};
  layer.attributes = fused.attributes;
  const ValueId bias = fused.input(3);
  if (!bias) {
    trainable_.node(id) = std::move(layer);
    return;
  }
  const ValueId product = trainable_.add_value(
      trainable_.unique_value_name(layer.name + "_product"), {.dtype = DType::f32});
  const std::string name = trainable_.unique_node_name(layer.name + "_add");
  trainable_.node(id) = {
      .op = "Add", .name = name, .inputs = {product, bias}, .outputs = fused.outputs};
  layer.outputs = {product};
  trainable_.insert_node(id, std::move(layer));
}

Graph DynamicTraining::put_back(const Graph& trained, const Target& target,
                                std::span<const PairOrder> orders) const {
  Graph graph = dynamic_;
  ThreadPool pool(1);
  for (const DynamicLayer& layer : layers_) {
    const Value& weight = trained.value(*trained.find_value(layer.weight));
    QuantParams params = *weight.type.quant;
    Tensor codes = weight.data;
    if (is_symmetric(params)) {
      codes = dynamic_codes(find_rounding("nearest"), dequantize_tensor(weight.data, params),
                            dynamic_pair_guard(layer.conv, weight.data.shape(), target, orders),
                            params, pool);
    }
    graph.value(*graph.find_value(layer.weight)).data = std::move(codes);
    Tensor& scale = graph.value(*graph.find_value(layer.scale)).data;
    scale = Tensor::of<float>(scale.shape(), std::span<const float>(params.scale));
  }
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.is_constant() || value.data.dtype() != DType::f32) continue;
    const bool is_scale =
        std::ranges::find(layers_, value.name, &DynamicLayer::scale) != layers_.end();
    const auto other = is_scale ? std::nullopt : trained.find_value(value.name);
    if (other && trained.value(*other).is_constant() && !trained.value(*other).type.quant) {
      value.data = trained.value(*other).data;
    }
  }
  graph.validate();
  return graph;
}

}  // namespace nibble
