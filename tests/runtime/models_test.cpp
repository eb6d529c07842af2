// Whole networks in integers.
#include <algorithm>

#include "graphs.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "support/isa.h"
#include "support/shared_files.h"

namespace nibble {
namespace {

// Normal noise: enough to find some ranges.
class Noise : public RealDataset {
 public:
  explicit Noise(const Shape& shape) : shape_(shape) {}
  int64_t size() const override { return 8; }
  Shape sample_shape() const override { return shape_; }
  int classes() const override { return 2; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t) const override { return 0; }
  void read(int64_t index, std::span<float> out) const override {
    Random random(static_cast<uint64_t>(index) + 1);
    for (float& value : out) value = static_cast<float>(random.normal());
  }
  std::string describe() const override { return "noise"; }

 private:
  Shape shape_;
  std::vector<std::string> names_;
};

// The first output for every instruction set this CPU has, and for two threads, must be the same.
void expect_same_bits_everywhere(const Graph& graph, const Tensor& input,
                                 const CompileOptions& options) {
  const Tensor expected = test::run_graph(graph, {input}, options)[0];
  CompileOptions threaded = options;
  threaded.threads = 2;
  testing::with_each_isa([&] {
    const Tensor actual = test::run_graph(graph, {input}, threaded)[0];
    EXPECT_EQ(test::largest_difference(actual, expected), 0);
  });
}

TEST(models, resnet20_runs_whole_in_integers_with_the_same_bits_everywhere) {
  NIBBLE_SHARED_FILE(path, "models/resnet20-cifar.onnx");
  const Graph graph = prepare_for_quantization(load_onnx(path));
  const Noise data({3, 32, 32});
  const Graph quantized = quantize(graph, analyze(graph, data, {.batch = 4, .threads = 1}), {});
  Tensor input(DType::f32, {2, 3, 32, 32});
  data.read(0, input.data<float>());
  const CompileOptions options{
      .input_shapes = {{quantized.value(quantized.inputs[0]).name, input.shape()}}};
  Program program = compile(quantized, options);
  EXPECT_EQ(program.coverage().integer_nodes, program.coverage().nodes);
  expect_same_bits_everywhere(quantized, input, options);

  CompileOptions fake = options;
  fake.arithmetic = Arithmetic::fake_quantize;
  const Tensor expected = test::run_graph(quantized, {input}, fake)[0];
  const Tensor actual = program.run(std::span(&input, 1))[0].clone();
  const float largest = std::ranges::max(expected.data<float>());
  EXPECT_LE(test::largest_difference(actual, expected), 0.05 * largest);
}

TEST(models, a_qdq_model_of_another_tool_runs_in_integers_with_the_same_bits_everywhere) {
  NIBBLE_SHARED_FILE(path, "models/mobilenetv3-qdq-int8.onnx");
  const Graph graph = load_onnx(path);
  Tensor input(DType::u8, {1, 3, 64, 64});
  Random random(1);
  for (uint8_t& value : input.data<uint8_t>()) value = static_cast<uint8_t>(random.below(256));
  const CompileOptions options{
      .input_shapes = {{graph.value(graph.inputs[0]).name, input.shape()}}};
  const Program program = compile(graph, options);
  EXPECT_GE(program.coverage().integer_nodes, program.coverage().nodes - 4);  // its preprocessing
  expect_same_bits_everywhere(graph, input, options);
}

// The product written out: sum over k of x[k] * code[k] * scale of the row.
TEST(models, weights_alone_quantized_run_as_the_reals_they_stand_for) {
  test::Builder b;
  const ValueId x = b.input("x", {3, 16});
  const ValueId w = b.weight({8, 16}, 0, 4);
  const Graph graph = b.finish({b.op("Gemm", {x, w}, {{"transB", int64_t{1}}})});
  const std::vector<int32_t> codes = unpack_integers(graph.value(w).data);
  const std::vector<float>& scale = graph.value(w).type.quant->scale;
  const Tensor input = test::random_tensor({3, 16}, b.random);
  const Tensor result = test::run_graph(graph, {input})[0];
  ASSERT_EQ(result.shape(), (Shape{3, 8}));
  for (size_t row = 0; row < 3; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      double sum = 0;
      for (size_t k = 0; k < 16; ++k) {
        sum += double{input.data<float>()[row * 16 + k]} * codes[column * 16 + k];
      }
      EXPECT_NEAR(result.data<float>()[row * 8 + column], sum * double{scale[column]}, 1e-5);
    }
  }
}

TEST(models, outputs_may_be_inputs_constants_and_views) {
  test::Builder b;
  const ValueId x = b.input("x", {2, 3});
  const ValueId constant = b.constant(Tensor::of<float>({2}, {1, 2}));
  const ValueId view = b.op("Reshape", {x, b.integers({3, 2})});
  const Graph graph = b.finish({x, constant, view, b.op("Identity", {view})});
  const Tensor input = test::random_tensor({2, 3}, b.random);
  const std::vector<Tensor> results = test::run_graph(graph, {input});
  EXPECT_EQ(test::largest_difference(results[0], input), 0);
  EXPECT_EQ(results[1].data<float>()[1], 2);
  EXPECT_EQ(test::largest_difference(results[2], input.reshaped({3, 2})), 0);
  EXPECT_EQ(test::largest_difference(results[3], input.reshaped({3, 2})), 0);
}

}  // namespace
}  // namespace nibble
