// The f32 kernels on oneDNN give the same bits for every number of threads: calibration, and with
// it every file that is written, rests on it. Which of oneDNN's kernels run depends on the CPU; the
// test run repeats these tests for lesser instruction sets (ONEDNN_MAX_CPU_ISA).
#include <gtest/gtest.h>

#include <array>

#include "ops/op_runner.h"

namespace nibble::test {
namespace {

constexpr std::array kThreads = {2, 3, 4, 5};

void expect_same_bits(const Node& node, const std::vector<Tensor>& inputs) {
  const std::vector<bool> constant = {false, true, true};
  const Tensor evaluated = run_eval(node, inputs)[0];
  const std::vector<Tensor> prepared = run_prepared(node, inputs, constant);
  ASSERT_FALSE(prepared.empty());
  for (const int threads : kThreads) {
    EXPECT_TRUE(same_bytes(run_eval(node, inputs, threads)[0], evaluated)) << threads;
    EXPECT_TRUE(same_bytes(run_prepared(node, inputs, constant, threads)[0], prepared[0]))
        << threads;
  }
}

TEST(thread_count, does_not_change_a_matrix_product) {
  for (const int64_t rows : {1, 3, 31, 63, 64, 65, 100, 128, 257}) {
    for (const int64_t depth : {1, 64, 256, 1000}) {
      for (const int64_t columns : {1, 17, 100, 256, 300}) {
        SCOPED_TRACE((Shape{rows, depth, columns}.to_string()));
        expect_same_bits(make_node("MatMul", 2),
                         {random_tensor({rows, depth}, 1), random_tensor({depth, columns}, 2)});
      }
    }
  }
}

TEST(thread_count, does_not_change_a_batch_of_matrix_products) {
  for (const int64_t batch : {2, 3, 12}) {
    for (const int64_t rows : {1, 49, 200}) {
      SCOPED_TRACE((Shape{batch, rows}.to_string()));
      expect_same_bits(make_node("MatMul", 2),
                       {random_tensor({batch, rows, 64}, 1), random_tensor({batch, 64, 77}, 2)});
    }
  }
}

TEST(thread_count, does_not_change_a_gemm) {
  for (const int64_t rows : {1, 64, 200}) {
    for (const int64_t transposed : {0, 1}) {
      SCOPED_TRACE((Shape{rows, transposed}.to_string()));
      const Node node = make_node("Gemm", 3, make_attributes({{"transB", transposed}}));
      expect_same_bits(node, {random_tensor({rows, 200}, 1),
                              random_tensor(transposed != 0 ? Shape{300, 200} : Shape{200, 300}, 2),
                              random_tensor({300}, 3)});
    }
  }
}

struct ConvSize {
  int64_t channels, filters, group, kernel, stride;
};

TEST(thread_count, does_not_change_a_convolution) {
  constexpr std::array kSizes = {
      ConvSize{3, 16, 1, 3, 1},   ConvSize{3, 32, 1, 3, 2},  ConvSize{16, 16, 1, 3, 1},
      ConvSize{64, 96, 1, 1, 1},  ConvSize{96, 24, 1, 1, 2}, ConvSize{24, 24, 24, 3, 1},
      ConvSize{40, 40, 40, 5, 2}, ConvSize{17, 33, 1, 1, 1}, ConvSize{32, 32, 4, 3, 1}};
  for (const ConvSize& size : kSizes) {
    for (const int64_t batch : {1, 2, 5}) {
      for (const int64_t side : {7, 13, 56}) {
        SCOPED_TRACE((Shape{size.channels, size.filters, size.group, batch, side}.to_string()));
        const std::vector<int64_t> pads(4, size.kernel / 2);
        const Node node = make_node(
            "Conv", 3,
            make_attributes({{"group", size.group},
                             {"pads", pads},
                             {"strides", std::vector<int64_t>{size.stride, size.stride}}}));
        expect_same_bits(
            node,
            {random_tensor({batch, size.channels, side, side}, 1),
             random_tensor({size.filters, size.channels / size.group, size.kernel, size.kernel}, 2),
             random_tensor({size.filters}, 3)});
      }
    }
  }
}

TEST(thread_count, does_not_change_a_recurrent_network) {
  const int64_t steps = 40, batch = 3, inputs = 96, hidden = 48;
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    SCOPED_TRACE(op);
    const int64_t gates = op[0] == 'L' ? 4 : op[0] == 'G' ? 3 : 1;
    const Node node = make_node(op, 4, make_attributes({{"hidden_size", hidden}}));
    const std::vector<Tensor> in = {
        random_tensor({steps, batch, inputs}, 1), random_tensor({1, gates * hidden, inputs}, 2),
        random_tensor({1, gates * hidden, hidden}, 3), random_tensor({1, 2 * gates * hidden}, 4)};
    const Tensor one = run_eval(node, in)[0];
    for (const int threads : kThreads) EXPECT_TRUE(same_bytes(run_eval(node, in, threads)[0], one));
  }
}

}  // namespace
}  // namespace nibble::test
