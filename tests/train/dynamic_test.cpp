// Training on from dynamically quantized networks.
#include "train/dynamic.h"

#include "train/teacher_fixtures.h"

namespace nibble::testing {
namespace {

Graph dynamic_of(const Graph& graph) {
  return quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
}

/// x [N,6] times u8 codes with a zero point, as other tools write them.
Graph with_zero_point() {
  NetworkBuilder net({-1, 6});
  const ValueId x = net.last;
  const auto value = [&](const char* name, DType dtype) {
    return net.graph.add_value(name, {.dtype = dtype});
  };
  const ValueId codes = value("x_quantized", DType::u8), scale = value("x_scale", DType::f32),
                zero = value("x_zero_point", DType::u8);
  net.graph.add_node({.op = "DynamicQuantizeLinear",
                      .name = "quantize",
                      .inputs = {x},
                      .outputs = {codes, scale, zero}});
  std::vector<uint8_t> weights(24);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<uint8_t>(i * 37 % 256);
  const ValueId w = net.constant("w", Tensor::of<uint8_t>({6, 4}, weights));
  const ValueId z = net.constant("w_zero", Tensor::of<uint8_t>({}, {117}));
  const ValueId s = net.constant("w_scale", Tensor::of<float>({}, {0.01F}));
  const ValueId both = net.add({.op = "Mul", .name = "scales", .inputs = {scale, s}});
  const ValueId sums = value("sums", DType::i32);
  net.graph.add_node({.op = "MatMulInteger",
                      .name = "fc_quant",
                      .inputs = {codes, w, zero, z},
                      .outputs = {sums}});
  Node cast{.op = "Cast", .name = "cast", .inputs = {sums}};
  cast.attributes.set("to", int64_t{1});
  const ValueId reals = net.add(std::move(cast));
  net.add({.op = "Mul", .name = "rescale", .inputs = {reals, both}});
  Graph graph = net.finish();
  infer_types(graph);
  return graph;
}

TEST(DynamicTraining, opens_every_layer_and_puts_back_what_it_took) {
  for (const Graph& dynamic : {dynamic_of(two_outputs()), dynamic_of(of_tokens()),
                               dynamic_of(three_convs()), with_zero_point()}) {
    const DynamicTraining training(dynamic);
    EXPECT_GE(training.size(), 1U);
    for (const NodeId id : training.trainable().nodes()) {
      EXPECT_NE(training.trainable().node(id).op, "DynamicQuantizeLinear");
    }
    const Target& target = default_target();
    const Graph back = training.put_back(training.trainable(), target, target.pair_orders);
    EXPECT_EQ(constants_of(back), constants_of(dynamic));
  }
}

TEST(DynamicTraining, calls_layers_by_the_names_that_the_float_network_has) {
  const DynamicTraining ours(dynamic_of(three_convs())), theirs(with_zero_point());
  const auto has = [](const Graph& graph, const std::string& op, const std::string& name) {
    return std::ranges::any_of(graph.nodes(), [&](NodeId id) {
      return graph.node(id).op == op && graph.node(id).name == name;
    });
  };
  EXPECT_TRUE(has(ours.trainable(), "Conv", "conv1"));
  EXPECT_TRUE(has(theirs.trainable(), "MatMul", "fc"));
}

TEST(DynamicTraining, leaves_a_layer_alone_whose_scale_is_that_of_another_weight) {
  Graph dynamic = dynamic_of(three_convs());
  const auto scale_of = [&](const char* name) { return *dynamic.find_value(name); };
  const ValueId first = scale_of("conv1_weight_scale"), second = scale_of("conv2_weight_scale");
  for (const NodeId id : dynamic.nodes()) {
    std::ranges::replace(dynamic.node(id).inputs, second, first);
  }
  const DynamicTraining all(dynamic_of(three_convs())), training(dynamic);
  EXPECT_EQ(training.size(), all.size() - 1);
}

TEST(DynamicTraining, leaves_a_network_without_such_layers_alone) {
  EXPECT_EQ(DynamicTraining(two_outputs()).size(), 0U);
}

TEST(DynamicTraining, brings_the_network_nearer_to_the_float_one) {
  NIBBLE_NEEDS_TRAINING();
  const Graph teacher = two_outputs();
  const Unlabelled samples = normal_samples(64, {2, 8, 8}, 1);
  const Target& target = default_target();
  const DynamicTraining training(dynamic_of(teacher));
  const Graph start = shrunk(training.trainable());
  const Graph before = training.put_back(start, target, target.pair_orders);
  const TrainResult result = train_quantized(start, nullptr, samples, samples, taught(teacher, 12));
  const Graph after = training.put_back(result.graph, target, target.pair_orders);
  const std::vector<double> was = sqnr_of(teacher, before, samples);
  const std::vector<double> is = sqnr_of(teacher, after, samples);
  for (size_t i = 0; i < was.size(); ++i) EXPECT_GT(is[i], was[i] + 3) << "output " << i;
}

}  // namespace
}  // namespace nibble::testing
