// Learned rounding in whole networks: adaround and brecq against rounding to nearest.
#include <cmath>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

// Other samples of the same kind.
class Fresh final : public Synthetic {
 public:
  using Synthetic::Synthetic;
  void read(int64_t index, std::span<float> out) const override {
    Synthetic::read(index + 1000, out);
  }
};

QuantizeOptions options_for(const std::string& rounding, const Dataset& data) {
  return {.rounding = rounding, .samples = &data, .first_and_last_8bit = false, .threads = 1};
}

Graph rounded(const Graph& graph, const Dataset& data, LayerBits bits,
              const QuantizeOptions& options, QuantizeReport* report = nullptr) {
  return quantize(graph, analyze(graph, data), {.fallback = bits, .layers = {}}, options, report);
}

std::vector<float> outputs(const Graph& graph, const Dataset& data) {
  const std::string input = graph.value(graph.inputs[0]).name;
  const Tensor batch = read_batch(data, 0, data.size(), 1)[0];
  Program program = compile(graph, {.input_shapes = {{input, batch.shape()}}});
  const std::span<const float> result = program.run(std::span(&batch, 1))[0].data<float>();
  return {result.begin(), result.end()};
}

double sqnr(const Graph& reference, const Graph& graph, const Dataset& data) {
  const std::vector<float> a = outputs(reference, data), b = outputs(graph, data);
  double signal = 0, noise = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    signal += std::pow(static_cast<double>(a[i]), 2);
    noise += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  }
  return 10 * std::log10(signal / noise);
}

TEST(learned_rounding, is_nearer_to_the_float_network_than_nearest_on_samples_it_has_not_seen) {
  NIBBLE_NEEDS_TRAINING();
  const Graph graph = testing::residual();
  const Synthetic data(48, {3, 6, 6});
  const Fresh fresh(32, {3, 6, 6});
  // Where activations are coarse, theirs is most of the error, which scales that are learned
  // reduce.
  struct Case {
    LayerBits bits;
    double gain;  // dB, at least
    std::vector<const char*> roundings;
  };
  for (const auto& [bits, gain, roundings] :
       {Case{{3, 8}, 1, {"adaround", "brecq"}}, Case{{3, 0}, 1, {"adaround", "brecq"}},
        Case{{4, 4}, 0, {"brecq"}}}) {
    const double nearest =
        sqnr(graph, rounded(graph, data, bits, options_for("nearest", data)), fresh);
    for (const char* rounding : roundings) {
      const double learned =
          sqnr(graph, rounded(graph, data, bits, options_for(rounding, data)), fresh);
      EXPECT_GT(learned, nearest + gain)
          << rounding << " " << bits.weight_bits << " " << bits.activation_bits;
    }
  }
}

TEST(learned_rounding, moves_no_weight_by_a_step_or_more_and_stays_on_its_grid) {
  NIBBLE_NEEDS_TRAINING();
  const Graph graph = testing::three_convs();
  const Synthetic data(32, {3, 6, 6});
  const Graph result = rounded(graph, data, {4, 8}, options_for("adaround", data));
  const Graph nearest = rounded(graph, data, {4, 8}, options_for("nearest", data));
  int64_t moved = 0;
  for (const NodeId id : result.nodes()) {
    if (result.node(id).op != "Conv") continue;
    const Value& mine = result.value(result.node(id).inputs[1]);
    const Value& other = nearest.value(*nearest.find_value(mine.name));
    EXPECT_EQ(mine.type.quant, other.type.quant) << mine.name;
    const auto codes = unpack_integers(mine.data), near = unpack_integers(other.data);
    for (size_t i = 0; i < codes.size(); ++i) {
      EXPECT_LE(std::abs(codes[i] - near[i]), 1);
      EXPECT_TRUE(codes[i] >= mine.type.quant->qmin && codes[i] <= mine.type.quant->qmax);
      moved += codes[i] != near[i] ? 1 : 0;
    }
  }
  EXPECT_GT(moved, 0) << "something was learned";
}

TEST(learned_rounding, a_seed_gives_the_same_file_again) {
  NIBBLE_NEEDS_TRAINING();
  const Graph graph = testing::perceptron(12, 16);
  const Synthetic data(40, {12});
  QuantizeOptions options = options_for("brecq", data);
  const auto file = [&] { return serialize_onnx(rounded(graph, data, {3, 8}, options)); };
  const std::string first = file();
  EXPECT_EQ(file(), first);
}

// Eight bits, whose pairs can saturate: what is learned keeps to what the grid was widened for.
TEST(learned_rounding, leaves_no_pair_of_weights_that_saturates) {
  NIBBLE_NEEDS_TRAINING();
  NetworkBuilder net({-1, 16});
  Tensor weight = net.normal({16, 8}, 0.3);
  for (float& w : weight.data<float>()) w = std::copysign(0.2F + std::abs(w) * 0.1F, w);
  const ValueId w = net.constant("fc_w", weight), b = net.constant("fc_b", net.normal({8}, 0.1));
  net.relu("relu", net.add({.op = "Gemm", .name = "fc", .inputs = {net.last, w, b}}));
  const Graph graph = net.finish();
  const Synthetic data(40, {16});
  for (const char* rounding : {"adaround", "brecq"}) {
    const Graph result = rounded(graph, data, {8, 8}, options_for(rounding, data));
    const Value& value = result.value(result.node(result.nodes()[0]).inputs[1]);
    const auto codes = unpack_integers(value.data);
    for (size_t k = 0; k + 1 < 16; k += 2) {
      for (size_t n = 0; n < 8; ++n) {
        const int32_t a = codes[k * 8 + n], c = codes[(k + 1) * 8 + n];
        EXPECT_LE(std::max(a, 0) + std::max(c, 0), 128) << rounding;
        EXPECT_GE(std::min(a, 0) + std::min(c, 0), -128) << rounding;
      }
    }
  }
}

TEST(learned_rounding, needs_samples) {
  const Graph graph = testing::perceptron();
  const Synthetic data(8, {12});
  QuantizeOptions options = options_for("brecq", data);
  options.samples = nullptr;
  const std::string error = testing::error_of([&] { rounded(graph, data, {4, 8}, options); });
  EXPECT_NE(error.find("'brecq' looks at data"), std::string::npos) << error;
}

}  // namespace
}  // namespace nibble
