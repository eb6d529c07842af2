#include "fuzz/seed_graphs.h"

#include "base/random.h"
#include "nibble/quantize.h"
#include "support/synthetic_data.h"
#include "train/graph_builder.h"

namespace nibble::fuzz {
namespace {

// A graph written node by node; every value is named after its node.
class Sketch {
 public:
  explicit Sketch(std::string name) {
    graph_.name = std::move(name);
    graph_.opsets[""] = 21;
  }
  ValueId input(const std::string& name, const Shape& shape, DType dtype = DType::f32) {
    graph_.inputs.push_back(graph_.add_value(name, {.dtype = dtype, .shape = shape}));
    return graph_.inputs.back();
  }
  ValueId reals(const Shape& shape) {
    Tensor data(DType::f32, shape);
    for (float& x : data.data<float>()) x = static_cast<float>(random_.normal());
    return graph_.add_constant(graph_.unique_value_name("w"), std::move(data));
  }
  ValueId integers(std::vector<int64_t> values) {
    const Shape shape{static_cast<int64_t>(values.size())};
    return graph_.add_constant(graph_.unique_value_name("i"),
                               Tensor::of<int64_t>(shape, std::span<const int64_t>(values)));
  }
  ValueId op(const std::string& op, std::vector<ValueId> inputs,
             std::vector<std::pair<std::string, Attribute>> attributes = {}, size_t outputs = 1) {
    Node node{.op = op, .name = graph_.unique_node_name(op), .inputs = std::move(inputs)};
    for (size_t i = 0; i < outputs; ++i) {
      node.outputs.push_back(graph_.add_value(graph_.unique_value_name(node.name), {}));
    }
    for (auto& [name, value] : attributes) node.attributes.set(name, std::move(value));
    const ValueId first = node.outputs[0];
    graph_.add_node(std::move(node));
    return first;
  }
  Graph finish(std::vector<ValueId> outputs) {
    graph_.outputs = std::move(outputs);
    graph_.validate();
    return std::move(graph_);
  }

 private:
  Graph graph_;
  Random random_{1};
};

using Integers = std::vector<int64_t>;

Graph convolutions() {
  GraphBuilder net("convolutions", {2, 6, 6}, 1);
  ValueId x = net.conv("first", net.input(), 4, {.kernel = 3, .padding = 1}, false);
  x = net.relu("relu1", net.batch_norm("norm1", x));
  const ValueId shortcut = x;
  x = net.relu6("relu2",
                net.conv("depthwise", x, 4, {.kernel = 3, .padding = 1, .groups = 4}, true));
  x = net.max_pool("pool", net.add("sum", x, shortcut), 2);
  x = net.dense("head", net.flatten("flatten", x), 3);
  return std::move(net).finish(x, "logits");
}

Graph attention() {
  Sketch net("attention");
  const ValueId x = net.input("x", {1, 4, 8});
  const ValueId norm = net.op("LayerNormalization", {x, net.reals({8}), net.reals({8})});
  const ValueId query = net.op("MatMul", {norm, net.reals({8, 8})});
  const ValueId key = net.op("MatMul", {norm, net.reals({8, 8})});
  const ValueId keys = net.op("Transpose", {key}, {{"perm", Integers{0, 2, 1}}});
  const ValueId weights =
      net.op("Softmax", {net.op("MatMul", {query, keys})}, {{"axis", int64_t{-1}}});
  const ValueId mixed = net.op("MatMul", {weights, net.op("Gelu", {norm})});
  const ValueId rows = net.op("Reshape", {net.op("Add", {x, mixed}), net.integers({4, 8})});
  return net.finish({net.op("Gemm", {rows, net.reals({8, 3}), net.reals({3})})});
}

Graph recurrent() {
  Sketch net("recurrent");
  const ValueId x = net.input("x", {3, 1, 2});
  const auto gates = [&](const char* op, int64_t count) {
    return net.op(op, {x, net.reals({1, count * 3, 2}), net.reals({1, count * 3, 3})},
                  {{"hidden_size", int64_t{3}}});
  };
  return net.finish({gates("LSTM", 4), gates("GRU", 3), gates("RNN", 1)});
}

Graph movement() {
  Sketch net("movement");
  const ValueId x = net.input("x", {1, 2, 4, 4});
  const ValueId part =
      net.op("Slice", {x, net.integers({0, 1}), net.integers({3, 4}), net.integers({2, 3})});
  const ValueId padded = net.op("Pad", {part, net.integers({0, 0, 1, 0, 0, 0, 0, 1})});
  const ValueId joined = net.op("Concat", {padded, x}, {{"axis", int64_t{1}}});
  const ValueId taken = net.op("Gather", {joined, net.integers({0, 2})}, {{"axis", int64_t{1}}});
  const ValueId larger =
      net.op("Resize", {taken, ValueId{}, net.reals({0}), net.integers({1, 2, 8, 8})},
             {{"mode", std::string("linear")}});
  const ValueId mean =
      net.op("ReduceMean", {larger, net.integers({2, 3})}, {{"keepdims", int64_t{0}}});
  const ValueId best = net.op("TopK", {mean, net.integers({1})}, {}, 2);
  const ValueId tiled =
      net.op("Tile", {net.op("Expand", {best, net.integers({2, 2})}), net.integers({1, 2})});
  const ValueId chosen =
      net.op("Where", {net.op("Greater", {tiled, net.reals({1})}), tiled, net.op("Exp", {tiled})});
  return net.finish({chosen, net.op("ArgMax", {mean}), net.op("Shape", {joined})});
}

Graph branches() {
  Sketch body("then");
  Sketch other("else");
  const auto yes =
      std::make_shared<const Graph>(body.finish({body.op("Relu", {body.reals({2, 2})})}));
  const auto no =
      std::make_shared<const Graph>(other.finish({other.op("Neg", {other.reals({2, 2})})}));
  Sketch net("branches");
  const ValueId flag = net.input("flag", {}, DType::boolean);
  const ValueId result = net.op("If", {flag}, {{"then_branch", yes}, {"else_branch", no}});
  return net.finish(
      {net.op("ConvTranspose",
              {net.op("Unsqueeze", {result, net.integers({0, 1})}), net.reals({1, 2, 3, 3})},
              {{"strides", Integers{2, 2}}})});
}

}  // namespace

std::vector<SeedGraph> seed_graphs() {
  std::vector<SeedGraph> seeds;
  const Graph network = convolutions();
  const RangeReport ranges = analyze(network, testing::Synthetic(4, {2, 6, 6}));
  const auto quantized = [&](LayerBits bits, const QuantizeOptions& options = {}) {
    return quantize(network, ranges, {.fallback = bits}, options);
  };
  seeds.push_back({"convolutions", network});
  seeds.push_back({"w8a8", quantized({8, 8})});
  seeds.push_back({"w4a8", quantized({4, 8}, {.first_and_last_8bit = false})});
  seeds.push_back(
      {"w4", quantized({4, 0}, {.weight_block_size = 16, .first_and_last_8bit = false})});
  seeds.push_back({"dynamic", quantized({8, 8}, {.dynamic = true})});
  seeds.push_back({"attention", attention()});
  seeds.push_back({"recurrent", recurrent()});
  seeds.push_back({"movement", movement()});
  seeds.push_back({"branches", branches()});
  return seeds;
}

}  // namespace nibble::fuzz
