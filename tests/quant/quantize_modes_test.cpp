// Symmetric activations, dynamic quantization, networks that mix samples.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "quant/quantized.h"
#include "ranges/observer.h"
#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::images;
using testing::NetworkBuilder;
using testing::output_sqnr;
using testing::outputs;
using testing::quantized;
using testing::Synthetic;
using testing::value_named;

// Largest difference of the integer kernels from fake-quantized floats, as a share of the largest
// output.
double integer_difference(const Graph& graph) {
  const std::vector<float> want = outputs(graph, images(16));
  const Tensor batch = read_batch(images(16), 0, 16, 1)[0];
  Program program =
      compile(graph, {.arithmetic = Arithmetic::integer, .input_shapes = {{"x", batch.shape()}}});
  const std::span<const float> have = program.run(std::span(&batch, 1))[0].data<float>();
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(want[i]) - have[i]));
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
  }
  return worst / largest;
}

TEST(quantize_symmetric, activations_are_int8_around_zero_and_run_as_integers) {
  for (const Graph& graph : {testing::three_convs(), testing::residual()}) {
    for (const int bits : {8, 4}) {
      const Graph result = quantized(graph, {bits, bits}, {.target = "tensorrt"});
      int activations = 0;
      for (int32_t i = 0; i < result.value_count(); ++i) {
        const Value& value = result.value({i});
        if (!value.type.quant || value.is_constant()) continue;
        ++activations;
        EXPECT_EQ(value.type.quant->storage, DType::i8) << value.name;
        EXPECT_EQ(value.type.quant->zero_point[0], 0) << value.name;
        EXPECT_EQ(value.type.quant->qmin, -value.type.quant->qmax) << value.name;
      }
      EXPECT_GE(activations, 3);
      EXPECT_LT(integer_difference(result), 0.02);
      EXPECT_GT(output_sqnr(graph, result), bits == 8 ? 25 : 3);
    }
  }
}

TEST(quantize_symmetric, can_be_written_for_tensorrt_and_means_the_same) {
  const Graph graph = testing::residual();
  EXPECT_THROW(serialize_onnx(quantized(graph, {8, 8}), find_target("tensorrt")), Error);
  const Graph result = quantized(graph, {8, 8}, {.target = "tensorrt"});
  const Graph again = parse_onnx(serialize_onnx(result, find_target("tensorrt")));
  EXPECT_EQ(value_named(again, "x").type.quant->storage, DType::i8);
  EXPECT_GT(output_sqnr(result, again), 40);  // its biases are floats
}

TEST(quantize_symmetric, excludes_dynamic_quantization) {
  const Graph graph = testing::three_convs();
  const auto quantize_both = [&] {
    quantized(graph, {8, 8}, {.target = "tensorrt", .dynamic = true});
  };
  EXPECT_NE(error_of(quantize_both).find("dynamic"), std::string::npos);
  const Graph dynamic = quantized(graph, {8, 8}, {.dynamic = true});
  const auto write = [&] { serialize_onnx(dynamic, find_target("tensorrt")); };
  EXPECT_NE(error_of(write).find("TensorRT has no"), std::string::npos);
}

TEST(quantize_dynamic, computes_the_same_without_calibration) {
  for (const bool conv : {true, false}) {
    const Graph graph = conv ? testing::three_convs() : testing::perceptron();
    const Synthetic data(8, conv ? Shape{3, 6, 6} : Shape{12});
    const Graph result = quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
    const std::vector<float> a = outputs(graph, data), b = outputs(result, data);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      signal += static_cast<double>(a[i]) * a[i];
      noise += std::pow(static_cast<double>(a[i]) - b[i], 2);
    }
    EXPECT_GT(sqnr_db(signal, noise), 30);
  }
}

TEST(quantize_dynamic, writes_integer_products) {
  const Graph graph = testing::perceptron();
  const Graph result = quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
  std::string ops;
  for (const NodeId id : result.nodes()) ops += result.node(id).op + " ";
  EXPECT_EQ(ops,
            "DynamicQuantizeLinear MatMulInteger Cast Mul Mul Add Relu "
            "DynamicQuantizeLinear MatMulInteger Cast Mul Mul Add ");
}

// 127 * 255 * 66,312 is above 2^31: whether a sum fits is a matter of its weights.
TEST(quantize_dynamic, long_sums_run_and_never_leave_int32) {
  for (const int64_t inputs : {60000, 70000}) {
    for (const bool largest : {false, true}) {
      NetworkBuilder net({-1, inputs});
      Tensor weight = net.normal({inputs, 2}, 0.01);
      if (largest) std::ranges::fill(weight.data<float>(), 0.5F);
      const ValueId w = net.constant("w", weight);
      net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
      const Graph graph = net.finish();
      const Synthetic rows(2, {inputs});
      const Graph result =
          quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
      EXPECT_GT(testing::output_sqnr(graph, result, rows), 35) << inputs << largest;
    }
  }
}

TEST(choose_bits, a_network_that_mixes_samples_is_measured_one_at_a_time) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({12, 8}, 0.3));
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  const ValueId to = net.constant("to", Tensor::of<int64_t>({2}, {8, -1}));
  const ValueId columns = net.add({.op = "Reshape", .name = "columns", .inputs = {net.last, to}});
  const ValueId axes = net.constant("axes", Tensor::of<int64_t>({1}, {1}));
  net.add({.op = "ReduceMean", .name = "mean", .inputs = {columns, axes}});
  const Graph open = net.finish();
  Graph fixed = open;
  fixed.value(fixed.inputs[0]).type.shape = {1, 12};
  const Synthetic rows(64, {12});
  const auto measured = [&](const Graph& graph) {
    return choose_bits(graph, analyze(graph, rows), rows, {.average_weight_bits = 8},
                       {.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}})
        .sensitivities;
  };
  const auto have = measured(open), want = measured(fixed);
  ASSERT_EQ(have.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(have[i].sqnr_db, want[i].sqnr_db);
}

}  // namespace
}  // namespace nibble
