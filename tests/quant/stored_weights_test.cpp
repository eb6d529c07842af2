// Tables and recurrent layers are quantized in file and memory, in every mode.
#include <gtest/gtest.h>

#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "output_error.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

constexpr int64_t kTokens = 40, kWidth = 16;

ValueId add_ids(NetworkBuilder& net) {
  Node cast{.op = "Cast", .name = "ids", .inputs = {net.last}};
  cast.attributes.set("to", int64_t{7});
  const ValueId ids = net.add(std::move(cast));
  net.graph.value(ids).type.dtype = DType::i64;
  return ids;
}

// Rows of a table, a layer, and an output layer that is the table's transpose.
Graph tied() {
  NetworkBuilder net({-1, 5});
  const ValueId table = net.constant("table", net.normal({kTokens, kWidth}, 0.5));
  const ValueId rows = net.add({.op = "Gather", .name = "rows", .inputs = {table, add_ids(net)}});
  const ValueId w = net.constant("w", net.normal({kWidth, kWidth}, 0.3));
  const ValueId mixed = net.add({.op = "MatMul", .name = "mix", .inputs = {rows, w}});
  const ValueId turned = net.add({.op = "Transpose", .name = "turned", .inputs = {table}});
  net.add({.op = "MatMul", .name = "logits", .inputs = {mixed, turned}});
  return net.finish();
}

int64_t stored(const Graph& graph, int64_t elements, DType storage) {
  int64_t count = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant() || value.data.elements() != elements) continue;
    EXPECT_EQ(value.data.dtype(), storage) << value.name;
    ++count;
  }
  return count;
}

// As read back from its file: the same results, with and without integers.
void expect_same_when_read_back(const Graph& small, const Shape& input) {
  const Graph back = parse_onnx(serialize_onnx(small));
  const Tensor x = testing::random_tensor(input, 3);
  for (const auto arithmetic : {Arithmetic::integer, Arithmetic::fake_quantize}) {
    const CompileOptions options{.arithmetic = arithmetic, .input_shapes = {{"x", input}}};
    EXPECT_TRUE(testing::same_bytes(compile(small, options).run(std::span(&x, 1))[0].clone(),
                                    compile(back, options).run(std::span(&x, 1))[0]));
  }
}

TEST(stored_weights, a_tied_table_is_stored_once_at_8_and_4_bits) {
  const Graph graph = tied();
  const Synthetic data(32, {5});
  const RangeReport ranges = analyze(graph, data);
  for (const LayerBits bits : {LayerBits{8, 8}, LayerBits{8, 0}, LayerBits{4, 0}}) {
    QuantizeReport report;
    const Graph small =
        quantize(graph, ranges, {.fallback = bits}, {.first_and_last_8bit = false}, &report);
    EXPECT_EQ(report.quantized_layers, 3);
    EXPECT_EQ(stored(small, kTokens * kWidth, bits.weight_bits == 8 ? DType::i8 : DType::i4), 1);
    EXPECT_GT(testing::output_sqnr(graph, small, data), bits.weight_bits == 8 ? 28 : 12);
    expect_same_when_read_back(small, {2, 5});
  }
}

TEST(stored_weights, an_output_layer_of_other_bits_is_stored_for_itself) {
  const Graph graph = tied();
  const Graph small = quantize(graph, analyze(graph, Synthetic(32, {5})),
                               {.fallback = {4, 0}, .layers = {{"logits", {8, 0}}}},
                               {.first_and_last_8bit = false});
  EXPECT_EQ(small.value(*small.find_value("table")).data.dtype(), DType::i4);
  int64_t transposes = 0;
  for (const NodeId id : small.nodes()) transposes += small.node(id).op == "Transpose" ? 1 : 0;
  EXPECT_EQ(transposes, 0);
}

TEST(stored_weights, the_first_layer_behind_a_table_keeps_8_bits) {
  QuantizeReport report;
  const Graph graph = tied();
  quantize(graph, analyze(graph, Synthetic(32, {5})), {.fallback = {4, 8}}, {}, &report);
  EXPECT_EQ(report.layers.at("rows").weight_bits, 4);
  EXPECT_EQ(report.layers.at("mix").weight_bits, 8);
  EXPECT_EQ(report.layers.at("logits").weight_bits, 8);
}

TEST(stored_weights, recurrent_layers_store_both_weights_in_few_bits) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    const int64_t gates = op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1;
    NetworkBuilder net({-1, 6, 10});
    const ValueId w = net.constant("w", net.normal({1, gates * 12, 10}, 0.3));
    const ValueId r = net.constant("r", net.normal({1, gates * 12, 12}, 0.3));
    Node layer{.op = op, .name = "layer", .inputs = {net.last, w, r}};
    layer.attributes.set("hidden_size", int64_t{12});
    layer.attributes.set("layout", int64_t{1});
    net.add(std::move(layer));
    const Graph graph = net.finish();
    const Synthetic data(16, {6, 10});
    const RangeReport ranges = analyze(graph, data);
    for (const bool dynamic : {false, true}) {
      QuantizeReport report;
      const Graph small = quantize(graph, ranges, {}, {.dynamic = dynamic}, &report);
      EXPECT_EQ(report.quantized_layers, 1);
      EXPECT_TRUE(report.why_not.empty());
      EXPECT_EQ(stored(small, gates * 12 * 10, DType::i8), 1);
      EXPECT_EQ(stored(small, gates * 12 * 12, DType::i8), 1);
      EXPECT_GT(testing::output_sqnr(graph, small, data), 35) << op;
      expect_same_when_read_back(small, {2, 6, 10});
    }
  }
}

}  // namespace
}  // namespace nibble
