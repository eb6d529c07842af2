// Training with quantization in the loop: the network trained is the network exported.
#include <cmath>

#include "nibble/evaluate.h"
#include "nibble/quantize.h"
#include "ops/roles.h"
#include "ops/weight_pairs.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

std::unique_ptr<Dataset> digits(Split split) {
  DataOptions options;
  options.split = split;
  return open_dataset("digits", options);
}

class QuantizedTraining : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!testing::has_training()) return;
    TrainOptions options;
    options.epochs = 6;
    options.batch = 32;
    float_ = new Graph(train(build_architecture("digits-cnn", {1, 8, 8}, 10, 0),
                             *digits(Split::train), *digits(Split::validation), options)
                           .graph);
  }
  static void TearDownTestSuite() { delete std::exchange(float_, nullptr); }
  void SetUp() override { NIBBLE_NEEDS_TRAINING(); }

  static Graph quantized(int weight_bits, int activation_bits) {
    const auto samples = random_subset(digits(Split::train), 128, 0);
    const BitPlan plan{.fallback = {weight_bits, activation_bits}, .layers = {}};
    return quantize(*float_, analyze(*float_, *samples), plan);
  }
  static Graph trained(const Graph& graph, const Graph* start, double rate, int epochs) {
    TrainOptions options = qat_defaults(4, 4);
    options.epochs = epochs;
    options.learning_rate = rate;
    return train_quantized(graph, start, *digits(Split::train), *digits(Split::validation), options)
        .graph;
  }

  static inline Graph* float_ = nullptr;
};

TEST_F(QuantizedTraining, the_integer_runtime_is_as_accurate_as_fake_quantization_in_training) {
  const auto test = digits(Split::test);
  for (const auto& [weight_bits, activation_bits] : {std::pair(8, 8), std::pair(4, 4)}) {
    const Graph graph = trained(quantized(weight_bits, activation_bits), float_, 0.01, 2);
    const Tensor x = read_batch(*test, 0, test->size(), 1)[0];
    const Tensor outputs = train_backend().forward(graph, std::span(&x, 1))[0];
    const Evaluation integer = evaluate(graph, *test, {.arithmetic = Arithmetic::integer});
    EXPECT_NEAR(integer.accuracy(), testing::accuracy(outputs.data<float>(), *test), 0.001);
    EXPECT_GE(integer.accuracy(), 0.95);
  }
}

TEST_F(QuantizedTraining, two_bit_weights_and_activations_stay_above_nine_in_ten) {
  const Graph graph = trained(quantized(2, 2), float_, 0.02, 8);
  EXPECT_GE(evaluate(graph, *digits(Split::test)).accuracy(), 0.9);
}

TEST_F(QuantizedTraining, values_with_the_same_codes_keep_the_same_learned_scale) {
  const Graph before = quantized(4, 4);
  const Graph graph = trained(before, float_, 0.01, 1);
  int shared = 0;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op != "MaxPool" && node.op != "Flatten" && node.op != "Reshape") continue;
    const auto& in = graph.value(node.inputs[0]).type.quant;
    ASSERT_TRUE(in.has_value()) << node.name;
    EXPECT_EQ(in, graph.value(node.outputs[0]).type.quant) << node.name;
    EXPECT_NE(in, before.value(node.inputs[0]).type.quant) << "the scale was not learned";
    ++shared;
  }
  EXPECT_GE(shared, 3);
}

TEST_F(QuantizedTraining, the_scale_of_a_bias_is_that_of_input_times_weight) {
  const Graph graph = trained(quantized(4, 4), float_, 0.01, 1);
  int layers = 0;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.input(2) || !graph.value(node.inputs[2]).type.quant) continue;
    const float input = graph.value(node.inputs[0]).type.quant->scale[0];
    const QuantParams& weight = *graph.value(node.inputs[1]).type.quant;
    const QuantParams& bias = *graph.value(node.inputs[2]).type.quant;
    for (size_t c = 0; c < bias.scale.size(); ++c) {
      EXPECT_EQ(bias.scale[c], input * weight.scale[weight.scale.size() == 1 ? 0 : c]);
      EXPECT_GT(bias.scale[c], 0);
    }
    ++layers;
  }
  EXPECT_EQ(layers, 5);
}

// Fine-tuning starts from the codes themselves: steps too small to change a float change nothing.
TEST_F(QuantizedTraining, fine_tuning_without_steps_gives_the_same_codes_and_scales) {
  const Graph graph = quantized(4, 8);
  const Graph same = trained(graph, nullptr, 1e-20, 1);
  EXPECT_EQ(testing::constants_of(same), testing::constants_of(graph));
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    EXPECT_EQ(same.value({i}).type, graph.value({i}).type) << graph.value({i}).name;
  }
}

TEST_F(QuantizedTraining, training_starts_from_the_real_weights_of_the_float_network) {
  const Graph graph = quantized(4, 8);
  const Graph same = trained(graph, float_, 1e-20, 1);
  const Graph prepared = prepare_for_quantization(*float_);
  const ValueId weight =
      *graph.find_value(graph.value(graph.node(graph.nodes()[0]).inputs[1]).name);
  const Value& value = same.value(weight);
  const Value& real = prepared.value(prepared.node(prepared.nodes()[0]).inputs[1]);
  // Its scale has a batch normalisation's factor in it by now, which leaves codes alone.
  const Tensor codes = quantize_tensor(real.data, *graph.value(weight).type.quant);
  EXPECT_EQ(unpack_integers(value.data), unpack_integers(codes));
}

// Pairs of products that could leave 16 bits, over all layers.
int64_t unsafe_pairs(const Graph& graph) {
  int64_t unsafe = 0;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!multiplies_codes(node)) continue;
    const Tensor& codes = graph.value(weight_of(node)).data;
    const WeightPairs pairs(node, codes.shape(), PairOrder::flattened);
    unsafe += count_unsafe_pairs(pairs, unpack_integers(codes), 255).unsafe;
  }
  return unsafe;
}

TEST_F(QuantizedTraining, leaves_no_pair_that_could_saturate_and_exports_what_it_trained) {
  const auto samples = random_subset(digits(Split::train), 128, 0);
  const BitPlan plan{.fallback = {8, 8}, .layers = {}};
  const Graph bare = quantize(*float_, analyze(*float_, *samples), plan, {.pair_safe = false});
  ASSERT_GT(unsafe_pairs(bare), 0);
  for (const Graph* start :
       {static_cast<const Graph*>(float_), static_cast<const Graph*>(nullptr)}) {
    TrainOptions options = qat_defaults(8, 8);
    options.epochs = 1;
    options.learning_rate = 0.01;
    const TrainResult result =
        train_quantized(bare, start, *digits(Split::train), *digits(Split::validation), options);
    EXPECT_EQ(unsafe_pairs(result.graph), 0);
    // What was validated in training is what the file holds.
    const auto validation = digits(Split::validation);
    const Tensor y = read_batch(*validation, 0, validation->size(), 1)[0];
    const Tensor outputs = train_backend().forward(result.graph, std::span(&y, 1))[0];
    EXPECT_DOUBLE_EQ(testing::accuracy(outputs.data<float>(), *validation),
                     result.best().validation_accuracy);
    options.pair_orders = {};
    const Graph free =
        train_quantized(bare, start, *digits(Split::train), *digits(Split::validation), options)
            .graph;
    EXPECT_GT(unsafe_pairs(free), 0);
  }
}

TEST_F(QuantizedTraining, fine_tuning_improves_a_network_quantized_after_training) {
  const Graph graph = quantized(2, 8);
  const auto validation = digits(Split::validation);
  const double before = evaluate(graph, *validation).accuracy();
  const double after = evaluate(trained(graph, nullptr, 0.01, 4), *validation).accuracy();
  EXPECT_GT(after, before);
}

}  // namespace
}  // namespace nibble
