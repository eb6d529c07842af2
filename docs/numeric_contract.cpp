// The numeric contract, derived step by step in plain arithmetic on a network of two layers, and
// compared with what the library computes: every scale, zero point, code and output must be the
// same, bit for bit. Prints docs/numeric-contract.md; exits with 1 where the library differs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "nibble/ranges.h"
#include "nibble/runtime.h"

namespace {

using namespace nibble;

// Sums of products of these numbers are exact in f32, so every CPU prints the same page.
// The network: scores = Relu(x * W1^T + b1) * W2^T + b2.
constexpr std::array<float, 12> kSamples = {-1.0F, 0.5F, 2.0F, 0.25F, 1.5F,   -0.5F,
                                            1.0F,  1.0F, 1.0F, 0.0F,  -0.75F, 0.375F};
constexpr std::array<float, 6> kWeights1 = {0.625F, -0.25F, 0.375F, -1.5F, 0.75F, 0.125F};
constexpr std::array<float, 2> kBias1 = {0.125F, -0.25F};
constexpr std::array<float, 4> kWeights2 = {0.9F, -0.4F, 0.05F, 0.7F};
constexpr std::array<float, 2> kBias2 = {0.0F, 0.25F};

class Samples final : public RealDataset {
 public:
  int64_t size() const override { return 4; }
  Shape sample_shape() const override { return {3}; }
  int classes() const override { return 2; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t) const override { return 0; }
  void read(int64_t index, std::span<float> out) const override {
    std::copy_n(kSamples.begin() + index * 3, 3, out.begin());
  }
  std::string describe() const override { return "four samples"; }

 private:
  std::vector<std::string> names_;
};

Graph float_network() {
  Graph graph;
  const TensorType real{.dtype = DType::f32};
  const ValueId x = graph.add_value("x", {.dtype = DType::f32, .shape = {Shape::kUnknown, 3}});
  graph.inputs = {x};
  const auto append = [&](std::string op, std::vector<ValueId> inputs, std::string output) {
    const ValueId result = graph.add_value(output, real);
    Node node{
        .op = std::move(op), .name = output, .inputs = std::move(inputs), .outputs = {result}};
    if (node.op == "Gemm") node.attributes.set("transB", int64_t{1});
    graph.add_node(std::move(node));
    return result;
  };
  const ValueId w1 = graph.add_constant("w1", Tensor::of<float>({2, 3}, kWeights1));
  const ValueId b1 = graph.add_constant("b1", Tensor::of<float>({2}, kBias1));
  const ValueId w2 = graph.add_constant("w2", Tensor::of<float>({2, 2}, kWeights2));
  const ValueId b2 = graph.add_constant("b2", Tensor::of<float>({2}, kBias2));
  const ValueId hidden = append("Relu", {append("Gemm", {x, w1, b1}, "sums")}, "hidden");
  graph.outputs = {append("Gemm", {hidden, w2, b2}, "scores")};
  return graph;
}

// ---- The contract in plain arithmetic --------------------------------------------------------

struct Grid {
  float scale = 1;
  int zero_point = 0;
};

// Codes 0 to 255 for [low, high]: zero lies within, and has a code of its own.
Grid activation_grid(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  const auto scale = static_cast<float>((high - low) / 255);
  const double zero_point = std::nearbyint(-low / static_cast<double>(scale));  // half to even
  return {scale, static_cast<int>(std::clamp(zero_point, 0.0, 255.0))};
}

// Codes -127 to 127, zero point 0.
float weight_scale(std::span<const float> channel) {
  float reach = 0;
  for (const float w : channel) reach = std::max(reach, std::abs(w));
  return static_cast<float>(static_cast<double>(reach) / 127);
}

int code_of(float real, float scale, int zero_point, int low, int high) {
  const float nearest = std::nearbyint(real / scale);  // half to even
  return static_cast<int>(std::clamp(nearest + static_cast<float>(zero_point),
                                     static_cast<float>(low), static_cast<float>(high)));
}

// One layer with 2 output channels: its codes, and the multipliers of its accumulators.
struct Layer {
  Grid input;
  std::vector<float> scales;  // of the weights, one per output channel
  std::vector<int> weights;
  std::vector<int> biases;

  Layer(Grid grid, std::span<const float> reals, std::span<const float> bias) : input(grid) {
    const size_t depth = reals.size() / bias.size();
    for (size_t c = 0; c < bias.size(); ++c) {
      const auto channel = reals.subspan(c * depth, depth);
      scales.push_back(weight_scale(channel));
      for (const float w : channel) weights.push_back(code_of(w, scales[c], 0, -127, 127));
      biases.push_back(static_cast<int>(std::nearbyint(bias[c] / (input.scale * scales[c]))));
    }
  }
  size_t depth() const { return weights.size() / biases.size(); }

  int accumulator(std::span<const int> codes, size_t channel) const {
    int sum = biases[channel];
    for (size_t i = 0; i < depth(); ++i) {
      sum += (codes[i] - input.zero_point) * weights[channel * depth() + i];
    }
    return sum;
  }
  // The accumulator times this is the real result (output scale 1), or counts steps of the output.
  float multiplier(size_t channel, double output_scale = 1) const {
    return static_cast<float>(static_cast<double>(input.scale) * scales[channel] / output_scale);
  }
  // No accumulator can be larger than this.
  int64_t bound(size_t channel) const {
    int64_t sum = 0;
    for (size_t i = 0; i < depth(); ++i) sum += std::abs(weights[channel * depth() + i]);
    return std::abs(biases[channel]) + 255 * sum;
  }
};

// ---- What is printed, and compared -----------------------------------------------------------

int differences = 0;

void expect_same(std::string_view what, bool same) {
  if (same) return;
  ++differences;
  fmt::print(stderr, "numeric_contract: the library computes another {}\n", what);
}

const QuantParams& type_of(const Graph& graph, std::string_view name) {
  static const QuantParams none;
  const auto id = graph.find_value(name);
  return id && graph.value(*id).type.quant ? *graph.value(*id).type.quant : none;
}

void expect_grid(const Graph& graph, std::string_view name, const Grid& grid) {
  const QuantParams& params = type_of(graph, name);
  expect_same(fmt::format("grid of {}", name),
              params.storage == DType::u8 && params.scale == std::vector{grid.scale} &&
                  params.zero_point == std::vector<int32_t>{grid.zero_point});
}

// The weights and biases of the node that computes `output`.
void expect_layer(const Graph& graph, std::string_view output, const Layer& layer) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.name != output) continue;
    const Value& weight = graph.value(node.inputs[1]);
    const Value& bias = graph.value(node.inputs[2]);
    expect_same(fmt::format("weight scale of {}", output),
                weight.type.quant && weight.type.quant->scale == layer.scales);
    expect_same(fmt::format("weight code of {}", output),
                unpack_integers(weight.data) == layer.weights);
    expect_same(fmt::format("bias code of {}", output), unpack_integers(bias.data) == layer.biases);
    return;
  }
  expect_same(fmt::format("node {}", output), false);
}

void print_layer(const Layer& layer) {
  fmt::print(
      "\n| channel | weight scale | weight codes | bias code | largest sum possible |\n"
      "|---|---|---|---|---|\n");
  for (size_t c = 0; c < layer.biases.size(); ++c) {
    const auto codes = std::span(layer.weights).subspan(c * layer.depth(), layer.depth());
    fmt::print("| {} | {:.9g} | {} | {} | {} |\n", c, layer.scales[c], fmt::join(codes, ", "),
               layer.biases[c], layer.bound(c));
  }
}

void print_grids(const Grid& x, double low, double high) {
  fmt::print(R"(# The numeric contract, step by step

This page is printed by [numeric_contract.cpp](numeric_contract.cpp), which derives every number below in plain
arithmetic and compares it with what the library computes, bit for bit. The network is
`scores = Relu(x * W1^T + b1) * W2^T + b2`, quantized to 8 bits with the `min-max` observer.

## 1. A range becomes a scale and a zero point

`real = scale * (code - zero_point)`. The samples of x lie in [{}, {}]; a range always includes zero.

- `scale = (high - low) / 255 = {:.9g}`, rounded to f32.
- `zero_point = round_half_to_even(-low / scale) = round({:.6f}) = {}`: zero has a code of its own and is exact.
)",
             low, high, x.scale, -low / static_cast<double>(x.scale), x.zero_point);
}

void print_weights(const Layer& layer) {
  fmt::print(R"(
## 2. Weights, biases, and why the sum cannot overflow

Weights are symmetric: `scale = max|w| / 127` per output channel, zero point 0, `code = round_half_to_even(w / scale)`.
The bias is an int32 in the unit of the sum: `code = round_half_to_even(b / (input_scale * weight_scale))`. No sum is
larger than `|bias| + 255 * sum |weight|`, which is compared with 2^31 - 1 when the layer is compiled.
)");
  print_layer(layer);
}

void print_output(const Layer& layer, const Grid& hidden, float largest) {
  fmt::print(R"(
## 3. Sums become codes

After Relu the results lie in [0, {:.9g}]: scale {:.9g}, zero point {}. A sum times
`multiplier = f32(f64(input_scale) * weight_scale / output_scale)` counts steps of the output:
`code = clamp(round_half_to_even(f32(sum) * multiplier) + zero_point, qmin, 255)`, one f32 multiplication. Relu is
`qmin = zero_point`. Here the multipliers are {:.9g} and {:.9g}.

| x | codes of x | sums | codes of hidden |
|---|---|---|---|
)",
             largest, hidden.scale, hidden.zero_point, layer.multiplier(0, hidden.scale),
             layer.multiplier(1, hidden.scale));
}

// Codes of the hidden layer for one sample; prints its row.
std::vector<int> run_hidden(const Layer& layer, const Grid& hidden, std::span<const float> x) {
  std::vector<int> inputs, sums, codes;
  for (const float real : x) {
    inputs.push_back(code_of(real, layer.input.scale, layer.input.zero_point, 0, 255));
  }
  for (size_t c = 0; c < 2; ++c) {
    sums.push_back(layer.accumulator(inputs, c));
    const float steps = std::nearbyint(static_cast<float>(sums[c]) *
                                       layer.multiplier(c, static_cast<double>(hidden.scale)));
    codes.push_back(
        std::clamp(static_cast<int>(steps) + hidden.zero_point, hidden.zero_point, 255));
  }
  fmt::print("| {} | {} | {} | {} |\n", fmt::join(x, ", "), fmt::join(inputs, ", "),
             fmt::join(sums, ", "), fmt::join(codes, ", "));
  return codes;
}

// The largest value that Relu gives on the samples, as the range analysis sees it: in f32.
float largest_hidden(const Graph& network) {
  const RangeReport ranges = analyze(network, Samples());
  const TensorRange* hidden = ranges.find("hidden");
  return hidden == nullptr ? 0 : hidden->total.maximum;
}

void run_scores(const Layer& layer, const std::vector<std::vector<int>>& hidden,
                std::span<const float> library) {
  fmt::print(R"(
## 4. The last layer gives reals

Nothing behind it is quantized, so its result is `f32(sum) * f32(input_scale * weight_scale)`.
)");
  print_layer(layer);
  fmt::print("\n| codes of hidden | sums | scores |\n|---|---|---|\n");
  for (size_t n = 0; n < hidden.size(); ++n) {
    std::vector<int> sums;
    std::vector<float> scores;
    for (size_t c = 0; c < 2; ++c) {
      sums.push_back(layer.accumulator(hidden[n], c));
      scores.push_back(static_cast<float>(sums[c]) * layer.multiplier(c));
      expect_same("score", scores[c] == library[n * 2 + c]);
    }
    fmt::print("| {} | {} | {:.7g} |\n", fmt::join(hidden[n], ", "), fmt::join(sums, ", "),
               fmt::join(scores, ", "));
  }
}

}  // namespace

int main() {
  const Graph network = float_network();
  const QuantizeOptions options{.weight_observer = "min-max",
                                .activation_observer = "min-max",
                                .target = "native",
                                .bias_correction = false};
  const Graph quantized = quantize(network, analyze(network, Samples()), {}, options);
  Program program = compile(quantized);
  const std::array inputs{Tensor::of<float>({4, 3}, kSamples)};
  const Tensor scores = program.run(inputs)[0].clone();

  const auto [low, high] = std::ranges::minmax(kSamples);
  const Grid x = activation_grid(low, high);
  print_grids(x, low, high);
  expect_grid(quantized, "x", x);

  const Layer first(x, kWeights1, kBias1);
  print_weights(first);
  expect_layer(quantized, "sums", first);

  const float largest = largest_hidden(network);
  const Grid hidden = activation_grid(0, largest);
  expect_grid(quantized, "hidden", hidden);
  print_output(first, hidden, largest);
  std::vector<std::vector<int>> codes;
  for (size_t n = 0; n < 4; ++n) {
    codes.push_back(run_hidden(first, hidden, std::span(kSamples).subspan(n * 3, 3)));
  }

  const Layer second(hidden, kWeights2, kBias2);
  expect_layer(quantized, "scores", second);
  run_scores(second, codes, scores.data<float>());
  return differences == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
