#include <limits>

#include "ops/movement/transpose.h"
#include "ops/op_runner.h"
#include "ops/support/spatial.h"

namespace nibble::test {
namespace {

struct PoolCase {
  Shape data;
  std::vector<int64_t> kernel, strides, pads, dilations;
  int64_t ceil_mode = 0, count_include_pad = 0;

  Attributes attributes() const {
    Attributes result = make_attributes({{"kernel_shape", kernel},
                                         {"ceil_mode", ceil_mode},
                                         {"count_include_pad", count_include_pad}});
    if (!strides.empty()) result.set("strides", strides);
    if (!pads.empty()) result.set("pads", pads);
    if (!dilations.empty()) result.set("dilations", dilations);
    return result;
  }
};

const std::vector<PoolCase>& cases() {
  static const std::vector<PoolCase> all = {
      {{1, 3, 7, 9}, {2, 2}, {2, 2}, {}, {}},
      {{2, 17, 13, 13}, {3, 3}, {2, 2}, {0, 0, 0, 0}, {}, 1},
      {{1, 64, 6, 5}, {3, 3}, {1, 1}, {1, 1, 1, 1}, {}},
      {{1, 5, 6, 6}, {3, 2}, {2, 3}, {1, 0, 1, 1}, {}, 1, 1},
      {{3, 2, 9, 8}, {3, 3}, {1, 2}, {2, 2, 2, 2}, {2, 2}, 0, 1},
      {{1, 2, 4, 4}, {4, 4}, {1, 1}, {}, {}},
  };
  return all;
}

// Straight from the definition, one output at a time.
float pooled(const PoolCase& c, const Window& w, const float* plane, int64_t oy, int64_t ox,
             bool maximum) {
  double sum = 0, count = 0, padded = 0;
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t ky = 0; ky < w.kernel[0]; ++ky) {
    for (int64_t kx = 0; kx < w.kernel[1]; ++kx) {
      const int64_t y = oy * w.stride[0] - w.pad_begin[0] + ky * w.dilation[0];
      const int64_t x = ox * w.stride[1] - w.pad_begin[1] + kx * w.dilation[1];
      if (y < w.input[0] + w.pad_end[0] && x < w.input[1] + w.pad_end[1]) ++padded;
      if (y < 0 || x < 0 || y >= w.input[0] || x >= w.input[1]) continue;
      const double value = plane[y * w.input[1] + x];
      sum += value;
      largest = std::max(largest, value);
      ++count;
    }
  }
  if (maximum) return static_cast<float>(largest);
  return static_cast<float>(sum / (c.count_include_pad != 0 ? padded : count));
}

TEST(Pool, max_and_average_equal_their_definition_in_both_layouts_for_every_thread_count) {
  for (const PoolCase& c : cases()) {
    for (const bool maximum : {true, false}) {
      SCOPED_TRACE(c.data.to_string() + (maximum ? " max" : " average"));
      const std::string op = maximum ? "MaxPool" : "AveragePool";
      const Tensor in = random_tensor(c.data, 7);
      const Node node = make_node(op, 1, c.attributes());
      const Window w = make_window(node.attributes, c.data.dims().subspan(2), {}, c.ceil_mode != 0);
      Tensor want(DType::f32, {c.data[0], c.data[1], w.output[0], w.output[1]});
      float* to = want.data<float>().data();
      for (int64_t plane = 0; plane < c.data[0] * c.data[1]; ++plane) {
        const float* from = in.data<float>().data() + plane * c.data[2] * c.data[3];
        for (int64_t y = 0; y < w.output[0]; ++y) {
          for (int64_t x = 0; x < w.output[1]; ++x) *to++ = pooled(c, w, from, y, x, maximum);
        }
      }
      EXPECT_LT(max_error(run_eval(node, {in})[0], want), 1e-5);
      EXPECT_EQ(run_infer(node, {in})[0].shape, want.shape());
      Node last = node;
      last.channels_last = true;
      const Tensor turned = permuted(in, {0, 2, 3, 1});
      for (int threads : {1, 3}) {
        const Tensor got = run_prepared(last, {turned}, {}, threads).at(0);
        EXPECT_LT(max_error(permuted(got, {0, 3, 1, 2}), want), 1e-5);
      }
    }
  }
}

TEST(Pool, global_average_is_the_mean_over_all_positions) {
  const Tensor in = random_tensor({2, 35, 7, 6}, 3);
  const Tensor got = run_eval(make_node("GlobalAveragePool", 1), {in})[0];
  ASSERT_EQ(got.shape(), (Shape{2, 35, 1, 1}));
  for (size_t plane = 0; plane < 70; ++plane) {
    double sum = 0;
    for (size_t i = 0; i < 42; ++i) sum += double{in.data<float>()[plane * 42 + i]};
    EXPECT_NEAR(got.data<float>()[plane], sum / 42, 1e-6);
  }
  Node last = make_node("GlobalAveragePool", 1);
  last.channels_last = true;
  const Tensor other = run_prepared(last, {permuted(in, {0, 2, 3, 1})}, {}, 2).at(0);
  EXPECT_LT(max_error(other.reshaped({2, 35, 1, 1}), got), 1e-6);
}

TEST(Pool, max_of_bytes_keeps_bytes) {
  const Tensor in = Tensor::of<uint8_t>({1, 1, 2, 2}, {3, 200, 7, 1});
  const Node node =
      make_node("MaxPool", 1, make_attributes({{"kernel_shape", std::vector<int64_t>{2, 2}}}));
  EXPECT_TRUE(same_bytes(run_eval(node, {in})[0], Tensor::of<uint8_t>({1, 1, 1, 1}, {200})));
}

TEST(Pool, a_window_larger_than_the_padded_input_is_refused) {
  const Node node =
      make_node("MaxPool", 1, make_attributes({{"kernel_shape", std::vector<int64_t>{3, 3}}}));
  EXPECT_THROW(run_infer(node, {random_tensor({1, 1, 2, 2}, 1)}), Error);
}

}  // namespace
}  // namespace nibble::test
