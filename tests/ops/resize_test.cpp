#include <algorithm>

#include "ops/op_runner.h"

namespace nibble::test {
namespace {

Node resize(const char* mode, const char* coordinates) {
  Node node =
      make_node("Resize", 3,
                make_attributes({{"mode", std::string(mode)},
                                 {"coordinate_transformation_mode", std::string(coordinates)}}));
  node.inputs[1] = {};  // no region of interest
  return node;
}

std::vector<float> resized(const Node& node, const std::vector<float>& row, float scale) {
  const Tensor in = Tensor::of<float>({1, 1, 1, static_cast<int64_t>(row.size())}, row);
  const std::vector<Tensor> inputs = {in, Tensor(), Tensor::of<float>({4}, {1, 1, 1, scale})};
  const Tensor got = run_eval(node, inputs)[0];
  EXPECT_TRUE(same_bytes(run_prepared(node, inputs, {false, false, true}, 2).at(0), got));
  return {got.data<float>().begin(), got.data<float>().end()};
}

using Row = std::vector<float>;

TEST(Resize, linear_weighs_the_two_neighbours_of_each_centre) {
  EXPECT_EQ(resized(resize("linear", "half_pixel"), {0, 4}, 2), (Row{0, 1, 3, 4}));
  EXPECT_EQ(resized(resize("linear", "align_corners"), {0, 3}, 2), (Row{0, 1, 2, 3}));
  EXPECT_EQ(resized(resize("linear", "asymmetric"), {0, 4}, 2), (Row{0, 2, 4, 4}));
}

TEST(Resize, nearest_rounds_ties_as_asked) {
  Node node = resize("nearest", "asymmetric");
  const std::vector<std::pair<const char*, Row>> expected = {{"floor", {0, 0, 1, 1}},
                                                             {"ceil", {0, 1, 1, 1}},
                                                             {"round_prefer_floor", {0, 0, 1, 1}},
                                                             {"round_prefer_ceil", {0, 1, 1, 1}}};
  for (const auto& [mode, want] : expected) {
    node.attributes.set("nearest_mode", std::string(mode));
    EXPECT_EQ(resized(node, {0, 1}, 2), want) << mode;
  }
}

TEST(Resize, cubic_reproduces_a_constant_and_keeps_existing_samples) {
  const Row constant = resized(resize("cubic", "half_pixel"), {3, 3, 3, 3}, 2.5F);
  for (float x : constant) EXPECT_NEAR(x, 3, 1e-5);
  const Row twice = resized(resize("cubic", "asymmetric"), {1, 5, 2, 7}, 2);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(twice[2 * i], (Row{1, 5, 2, 7})[i], 1e-6);
}

TEST(Resize, channels_last_gives_the_same_values) {
  const Tensor in = random_tensor({2, 3, 5, 7}, 1);
  Tensor turned(DType::f32, {2, 5, 7, 3});
  const auto place = [](int64_t n, int64_t c, int64_t y, int64_t x, int64_t h, int64_t w,
                        bool last) {
    return static_cast<size_t>(last ? ((n * h + y) * w + x) * 3 + c
                                    : ((n * 3 + c) * h + y) * w + x);
  };
  const auto each = [](int64_t h, int64_t w, const auto& body) {
    for (int64_t i = 0; i < 2 * 3 * h * w; ++i) {
      body(i / (3 * h * w), i / (h * w) % 3, i / w % h, i % w);
    }
  };
  each(5, 7, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
    turned.data<float>()[place(n, c, y, x, 5, 7, true)] =
        in.data<float>()[place(n, c, y, x, 5, 7, false)];
  });
  const Tensor scales = Tensor::of<float>({4}, {1, 1, 2, 3});
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    Node node = resize(mode, "half_pixel");
    const Tensor want = run_eval(node, {in, Tensor(), scales})[0];
    node.channels_last = true;
    const Tensor got = run_eval(node, {turned, Tensor(), scales}, 2)[0];
    ASSERT_EQ(got.shape(), (Shape{2, 10, 21, 3}));
    each(10, 21, [&](int64_t n, int64_t c, int64_t y, int64_t x) {
      ASSERT_NEAR(got.data<float>()[place(n, c, y, x, 10, 21, true)],
                  want.data<float>()[place(n, c, y, x, 10, 21, false)], 1e-5);
    });
  }
}

}  // namespace
}  // namespace nibble::test
