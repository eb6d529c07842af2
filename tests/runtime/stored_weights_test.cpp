// Weights that are stored in few bits and read as reals: tables and recurrent layers.
#include "graphs.h"
#include "nibble/error.h"

namespace nibble {
namespace {

using test::Builder;
using test::largest_difference;
using test::random_tensor;

QuantParams grid_of(const Shape& shape, DType storage, Granularity granularity, int axis,
                    int64_t block, Random& random) {
  QuantParams grid{.storage = storage,
                   .qmin = static_cast<int32_t>(lowest_of(storage)),
                   .qmax = static_cast<int32_t>(highest_of(storage)),
                   .granularity = granularity,
                   .axis = axis,
                   .block_size = block};
  for (int64_t i = 0; i < quant_groups(grid, shape); ++i) {
    grid.scale.push_back(static_cast<float>(0.01 + 0.02 * random.uniform()));
    grid.zero_point.push_back(static_cast<int32_t>(random.below(2)));
  }
  return grid;
}

ValueId quantized(Builder& b, const Shape& shape, DType storage, Granularity granularity, int axis,
                  int64_t block = 0) {
  const QuantParams grid = grid_of(shape, storage, granularity, axis, block, b.random);
  std::vector<int32_t> codes;
  const auto count = static_cast<uint64_t>(grid.qmax - grid.qmin + 1);
  for (int64_t i = 0; i < shape.elements(); ++i) {
    codes.push_back(grid.qmin + static_cast<int32_t>(b.random.below(count)));
  }
  return b.graph.add_constant(b.graph.unique_value_name("table"),
                              pack_integers(storage, shape, codes), grid);
}

std::string kernels_of(const Program& program) {
  std::string text;
  for (const StepProfile& step : program.profile()) text += step.kernel + "; ";
  return text;
}

struct Table {
  Shape shape;
  DType storage;
  Granularity granularity;
  int axis = 0;
  int64_t block = 0;
  int64_t gather_axis = 0;
};

TEST(stored_weights, a_table_stays_in_codes_and_gives_its_rows_exactly) {
  const Table tables[] = {{{9, 6}, DType::i8, Granularity::per_channel, 0},
                          {{9, 7}, DType::i4, Granularity::per_channel, 0},
                          {{9, 7}, DType::u4, Granularity::per_tensor},
                          {{9, 7}, DType::i2, Granularity::per_channel, 1},
                          {{9, 7}, DType::i4, Granularity::per_block, 1, 3},
                          {{9, 7}, DType::u8, Granularity::per_block, 0, 4},
                          {{9, 2, 3}, DType::i8, Granularity::per_channel, 1},
                          {{4, 9, 3}, DType::i8, Granularity::per_channel, 1, 0, 1},
                          {{4, 9}, DType::u8, Granularity::per_channel, 1, 0, 1}};
  for (const Table& t : tables) {
    Builder b;
    const ValueId table = quantized(b, t.shape, t.storage, t.granularity, t.axis, t.block);
    const ValueId ids = b.graph.add_value("ids", {.dtype = DType::i64, .shape = {2, 3}});
    b.graph.inputs = {ids};
    const ValueId y = b.op("Gather", {table, ids}, {{"axis", t.gather_axis}});
    const Graph graph = b.finish({y});
    const Tensor input = Tensor::of<int64_t>({2, 3}, {0, 8, 3, -1, -9, 3});
    Program program = compile(graph);
    EXPECT_NE(kernels_of(program).find("rows of a table"), std::string::npos);
    const Tensor expected =
        test::run_graph(graph, {input}, {.arithmetic = Arithmetic::fake_quantize})[0];
    EXPECT_EQ(largest_difference(program.run(std::span(&input, 1))[0], expected), 0);
    EXPECT_LE(program.constant_bytes(), storage_bytes(t.storage, t.shape.elements()) +
                                            8 * graph.value(table).type.quant->scale.size());
    const Tensor wrong = Tensor::of<int64_t>({2, 3}, {0, 9, 3, -1, -9, 3});
    EXPECT_THROW(program.run(std::span(&wrong, 1)), Error);
  }
}

TEST(stored_weights, a_transposed_table_is_folded_and_runs_packed) {
  Builder b;
  const ValueId table = quantized(b, {9, 8}, DType::i8, Granularity::per_channel, 0);
  std::ranges::fill(b.graph.value(table).type.quant->zero_point, 0);
  const ValueId x = b.input("x", {5, 8});
  const ValueId turned = b.op("Transpose", {table}, {{"perm", std::vector<int64_t>{1, 0}}});
  const Graph graph = b.finish({b.op("MatMul", {x, turned})});
  const Tensor input = random_tensor({5, 8}, b.random);
  Program program = compile(graph);
  EXPECT_NE(kernels_of(program).find("packed 8-bit"), std::string::npos) << kernels_of(program);
  const Tensor expected =
      test::run_graph(graph, {input}, {.arithmetic = Arithmetic::fake_quantize})[0];
  EXPECT_LE(largest_difference(program.run(std::span(&input, 1))[0], expected), 1e-5);
}

struct Recurrent {
  const char* op;
  int64_t gates;
  std::vector<std::pair<std::string, Attribute>> attributes;
  int64_t directions = 1;
  DType storage = DType::i8;
  Granularity granularity = Granularity::per_channel;
  int64_t block = 0;
};

// Their data are rounded to 16 bits at each step: 2^-16 of the largest, times weights of up to 4.
TEST(stored_weights, recurrent_layers_keep_their_weights_packed_and_multiply_integers) {
  const std::string both = "bidirectional";
  const Recurrent layers[] = {
      {"LSTM", 4, {}},
      {"LSTM", 4, {{"direction", both}}, 2, DType::i4},
      {"LSTM", 4, {{"layout", int64_t{1}}}, 1, DType::u8, Granularity::per_tensor},
      {"GRU", 3, {}},
      {"GRU", 3, {}, 1, DType::i4, Granularity::per_block, 16},
      {"GRU", 3, {{"linear_before_reset", int64_t{1}}, {"direction", both}}, 2},
      {"RNN", 1, {{"direction", std::string("reverse")}}}};
  constexpr int64_t kHidden = 37, kInputs = 21;
  for (const Recurrent& layer : layers) {
    Builder b;
    const ValueId x = b.input("x", {3, 4, kInputs});
    const Shape w{layer.directions, layer.gates * kHidden, kInputs};
    const Shape r{layer.directions, layer.gates * kHidden, kHidden};
    const ValueId bias =
        b.constant(random_tensor({layer.directions, 2 * layer.gates * kHidden}, b.random, 0.3));
    auto attributes = layer.attributes;
    attributes.emplace_back("hidden_size", kHidden);
    const auto weight = [&](const Shape& shape) {
      return quantized(b, shape, layer.storage, layer.granularity, layer.block > 0 ? 2 : 1,
                       layer.block);
    };
    const ValueId y = b.op(layer.op, {x, weight(w), weight(r), bias}, attributes);
    const Graph graph = b.finish({y});
    const Tensor input = random_tensor({3, 4, kInputs}, b.random);
    const Tensor expected =
        test::run_graph(graph, {input}, {.arithmetic = Arithmetic::fake_quantize})[0];
    for (const int threads : {1, 3}) {
      Program program = compile(graph, {.threads = threads});
      EXPECT_NE(kernels_of(program).find("recurrent s16, packed"), std::string::npos)
          << kernels_of(program);
      EXPECT_LT(program.constant_bytes(),
                static_cast<size_t>(2 * (w.elements() + r.elements())) + 8192);
      EXPECT_LE(largest_difference(program.run(std::span(&input, 1))[0], expected), 2e-3)
          << layer.op;
    }
  }
}

}  // namespace
}  // namespace nibble
