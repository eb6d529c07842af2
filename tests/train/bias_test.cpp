// Quantized training of layers whose float bias is absent or broadcasts: quantization gives every
// layer one bias per output channel.
#include <fmt/format.h>

#include <cmath>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/networks.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

using testing::StripedImages;

constexpr int kClasses = 4;

/// A convolution without bias and a Gemm that adds `bias`, or nothing.
Graph network(const std::optional<Tensor>& bias, bool conv_bias = false) {
  testing::NetworkBuilder net({-1, 1, 8, 8});
  Node conv{.op = "Conv", .name = "conv"};
  conv.inputs = {net.last, net.constant("conv_w", net.normal({4, 1, 3, 3}, 0.4))};
  if (conv_bias) conv.inputs.push_back(net.constant("conv_b", net.normal({4}, 0.1)));
  net.relu("relu", net.add(conv));
  net.add({.op = "Flatten", .name = "flatten", .inputs = {net.last}});
  Node fc{.op = "Gemm", .name = "fc"};
  fc.inputs = {net.last, net.constant("fc_w", net.normal({4 * 6 * 6, kClasses}, 0.1))};
  if (bias) fc.inputs.push_back(net.constant("fc_b", *bias));
  net.add(fc);
  return net.finish();
}

/// Mean cross entropy by its definition.
double cross_entropy(const Tensor& logits, const Dataset& data) {
  double sum = 0;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto row = logits.data<float>().subspan(static_cast<size_t>(i * kClasses), kClasses);
    double total = 0;
    for (float logit : row) total += std::exp(static_cast<double>(logit));
    sum += std::log(total) - row[static_cast<size_t>(data.label(i))];
  }
  return sum / static_cast<double>(data.size());
}

class BiasTraining : public ::testing::Test {
 protected:
  void SetUp() override { NIBBLE_NEEDS_TRAINING(); }

  TrainResult train_from(const Graph& graph, LayerBits bits, bool correct) const {
    const BitPlan plan{.fallback = bits, .layers = {}};
    const Graph quantized =
        quantize(graph, analyze(graph, training_), plan, {.bias_correction = correct});
    TrainOptions options = qat_defaults(bits.weight_bits, bits.activation_bits);
    options.epochs = 2;
    options.threads = 1;
    return train_quantized(quantized, &graph, training_, validation_, options);
  }

  /// The validation loss that training reported is that of the exported network.
  void expect_exported_as_trained(const TrainResult& result) const {
    const Tensor x = read_batch(validation_, 0, validation_.size(), 1)[0];
    const double reported = result.best().validation_loss;
    for (Arithmetic arithmetic : {Arithmetic::fake_quantize, Arithmetic::integer}) {
      Program program =
          compile(result.graph, {.arithmetic = arithmetic, .input_shapes = {{"x", x.shape()}}});
      EXPECT_NEAR(cross_entropy(program.run(std::span(&x, 1))[0], validation_), reported, 2e-3);
    }
  }

  const StripedImages training_{128, kClasses, 1};
  const StripedImages validation_{64, kClasses, 2};
};

TEST_F(BiasTraining, layers_without_bias_train_with_and_without_bias_correction) {
  for (const LayerBits bits : {LayerBits{8, 8}, LayerBits{4, 8}, LayerBits{4, 0}}) {
    for (const bool correct : {true, false}) {
      for (const bool conv_bias : {true, false}) {
        SCOPED_TRACE(fmt::format("W{}A{} correction {} conv bias {}", bits.weight_bits,
                                 bits.activation_bits, correct, conv_bias));
        expect_exported_as_trained(train_from(network({}, conv_bias), bits, correct));
      }
    }
  }
}

TEST_F(BiasTraining, a_gemm_trains_with_every_bias_that_broadcasts) {
  for (const Shape& shape : std::vector<Shape>{{}, {1}, {1, 1}, {1, kClasses}, {kClasses}}) {
    for (const LayerBits bits : {LayerBits{8, 8}, LayerBits{4, 0}}) {
      SCOPED_TRACE(fmt::format("bias {}, W{}A{}", shape.to_string(), bits.weight_bits,
                               bits.activation_bits));
      expect_exported_as_trained(
          train_from(network(testing::random_tensor(shape, 5, 0.1)), bits, true));
    }
  }
}

// With steps too small to matter, what was trained is what training started from.
TEST_F(BiasTraining, starts_from_the_float_bias_spread_over_the_channels_or_from_zero) {
  const auto bias_after = [&](const std::optional<Tensor>& bias) {
    const Graph graph = network(bias);
    const BitPlan plan{.fallback = {8, 0}, .layers = {}};
    TrainOptions options = qat_defaults(8, 0);
    options.epochs = 1;
    options.learning_rate = 1e-20;
    const Graph quantized = quantize(graph, analyze(graph, training_), plan);
    const Graph trained = train_quantized(quantized, &graph, training_, validation_, options).graph;
    const Node& fc = trained.node(trained.nodes().back());
    const std::span<const float> values = trained.value(fc.inputs.at(2)).data.data<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  for (float value : bias_after({})) EXPECT_LT(std::abs(value), 1e-15F);
  EXPECT_EQ(bias_after(Tensor::scalar(0.25F)), std::vector<float>(kClasses, 0.25F));
  EXPECT_EQ(bias_after(Tensor::of<float>({1, 4}, {1, 2, 3, 4})), (std::vector<float>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace nibble
