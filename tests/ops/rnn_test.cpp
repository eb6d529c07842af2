#include <algorithm>
#include <cmath>

#include "ops/op_runner.h"

namespace nibble::test {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// One step of W x + R h + Wb + Rb for gate row g of direction d.
double gate(const std::vector<Tensor>& in, int64_t d, int64_t g, const float* x,
            const std::vector<double>& h) {
  const Shape& w = in[1].shape();
  double sum = 0;
  for (int64_t k = 0; k < w[2]; ++k) {
    sum +=
        double{in[1].data<float>()[static_cast<size_t>((d * w[1] + g) * w[2] + k)]} * double{x[k]};
  }
  const auto hidden = static_cast<int64_t>(h.size());
  for (int64_t k = 0; k < hidden; ++k) {
    sum += double{in[2].data<float>()[static_cast<size_t>((d * w[1] + g) * hidden + k)]} *
           h[static_cast<size_t>(k)];
  }
  const auto bias = in[3].data<float>();
  return sum + double{bias[static_cast<size_t>(2 * d * w[1] + g)]} +
         double{bias[static_cast<size_t>((2 * d + 1) * w[1] + g)]};
}

struct Sizes {
  int64_t steps = 5, batch = 3, inputs = 7, hidden = 11;
};

std::vector<Tensor> inputs_of(const Sizes& s, int64_t directions, int64_t gates,
                              const std::vector<int32_t>& lengths) {
  const auto scaled = [](Tensor t) {
    for (float& x : t.data<float>()) x *= 0.3F;
    return t;
  };
  return {random_tensor({s.steps, s.batch, s.inputs}, 1),
          scaled(random_tensor({directions, gates * s.hidden, s.inputs}, 2)),
          scaled(random_tensor({directions, gates * s.hidden, s.hidden}, 3)),
          scaled(random_tensor({directions, 2 * gates * s.hidden}, 4)),
          Tensor::of<int32_t>({s.batch}, lengths)};
}

TEST(Lstm, runs_both_directions_up_to_each_sequences_length) {
  const Sizes s;
  const std::vector<int32_t> lengths = {5, 2, 3};
  const std::vector<Tensor> in = inputs_of(s, 2, 4, lengths);
  const Node node = make_node(
      "LSTM", 5,
      make_attributes({{"hidden_size", s.hidden}, {"direction", std::string("bidirectional")}}), 3);
  for (int threads : {1, 2}) {
    const std::vector<Tensor> out = run_eval(node, in, threads);
    ASSERT_EQ(out[0].shape(), (Shape{s.steps, 2, s.batch, s.hidden}));
    for (int64_t d = 0; d < 2; ++d) {
      for (int64_t b = 0; b < s.batch; ++b) {
        const int64_t length = lengths[static_cast<size_t>(b)];
        std::vector<double> h(static_cast<size_t>(s.hidden)), c = h;
        for (int64_t i = 0; i < s.steps; ++i) {
          const int64_t t = d == 1 && i < length ? length - 1 - i : i;
          const float* x = in[0].data<float>().data() + (t * s.batch + b) * s.inputs;
          std::vector<double> next = h;
          for (int64_t j = 0; j < s.hidden && i < length; ++j) {
            const auto at = static_cast<size_t>(j);
            const double input = sigmoid(gate(in, d, j, x, h));
            const double output = sigmoid(gate(in, d, s.hidden + j, x, h));
            const double forget = sigmoid(gate(in, d, 2 * s.hidden + j, x, h));
            c[at] = forget * c[at] + input * std::tanh(gate(in, d, 3 * s.hidden + j, x, h));
            next[at] = output * std::tanh(c[at]);
          }
          h = next;
          for (int64_t j = 0; j < s.hidden; ++j) {
            const auto at = static_cast<size_t>(((t * 2 + d) * s.batch + b) * s.hidden + j);
            const double want = i < length ? h[static_cast<size_t>(j)] : 0;
            ASSERT_NEAR(out[0].data<float>()[at], want, 1e-5);
          }
        }
        for (int64_t j = 0; j < s.hidden; ++j) {
          const auto at = static_cast<size_t>((d * s.batch + b) * s.hidden + j);
          ASSERT_NEAR(out[1].data<float>()[at], h[static_cast<size_t>(j)], 1e-5);
          ASSERT_NEAR(out[2].data<float>()[at], c[static_cast<size_t>(j)], 1e-5);
        }
      }
    }
  }
}

TEST(Gru, continues_where_an_earlier_call_stopped) {
  const Sizes s;
  for (int64_t linear : {0, 1}) {
    const Attributes attributes =
        make_attributes({{"hidden_size", s.hidden}, {"linear_before_reset", linear}});
    std::vector<Tensor> in = inputs_of(s, 1, 3, {5, 5, 5});
    const std::vector<Tensor> whole = run_eval(make_node("GRU", 5, attributes, 2), in);
    // The first two steps, then the other three from the state reached.
    const auto steps = [&](int64_t begin, int64_t count) {
      const auto width = static_cast<size_t>(s.batch * s.inputs);
      return Tensor::of<float>(
          {count, s.batch, s.inputs},
          std::span<const float>(in[0].data<float>())
              .subspan(static_cast<size_t>(begin) * width, static_cast<size_t>(count) * width));
    };
    std::vector<Tensor> part = {steps(0, 2), in[1], in[2], in[3]};
    const Tensor state = run_eval(make_node("GRU", 4, attributes, 2), part)[1];
    part = {steps(2, 3), in[1], in[2], in[3], Tensor(), state};
    Node node = make_node("GRU", 6, attributes, 2);
    node.inputs[4] = {};
    const std::vector<Tensor> rest = run_eval(node, part);
    EXPECT_LT(max_error(rest[1], whole[1]), 1e-6);
  }
}

}  // namespace
}  // namespace nibble::test
