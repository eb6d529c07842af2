#include <algorithm>
#include <array>
#include <numeric>

#include "ops/op_runner.h"

namespace nibble::test {
namespace {

Tensor counting(DType dtype, const Shape& shape) {
  Tensor tensor(DType::i32, shape);
  std::iota(tensor.data<int32_t>().begin(), tensor.data<int32_t>().end(), 0);
  return convert(tensor, dtype);
}

Tensor list(std::vector<int64_t> values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

std::vector<int64_t> values_of(const Tensor& tensor) {
  const Tensor wide = convert(tensor, DType::i64);
  return {wide.data<int64_t>().begin(), wide.data<int64_t>().end()};
}

TEST(Transpose, moves_every_element_for_all_permutations_and_element_sizes) {
  const Shape shape = {3, 1, 17, 5};
  std::vector<int64_t> perm = {0, 1, 2, 3};
  do {
    for (const DType dtype : {DType::u8, DType::i16, DType::f32, DType::i64}) {
      const Tensor in = counting(dtype, shape);
      const Node node = make_node("Transpose", 1, make_attributes({{"perm", perm}}));
      const Tensor got = run_prepared(node, {in}, {}, 2).at(0);
      const std::vector<int64_t> from = values_of(in), to = values_of(got);
      std::array<int64_t, 4> at{};
      for (int64_t i = 0; i < got.elements(); ++i) {
        int64_t rest = i;
        for (int axis = 3; axis >= 0; --axis) {
          at[static_cast<size_t>(perm[static_cast<size_t>(axis)])] = rest % got.shape()[axis];
          rest /= got.shape()[axis];
        }
        const int64_t source = ((at[0] * shape[1] + at[1]) * shape[2] + at[2]) * shape[3] + at[3];
        ASSERT_EQ(to[static_cast<size_t>(i)], from[static_cast<size_t>(source)]);
      }
    }
  } while (std::ranges::next_permutation(perm).found);
}

TEST(Transpose, of_packed_integers) {
  const std::vector<int32_t> codes = {-8, -1, 0, 1, 2, 7}, turned = {-8, 1, -1, 2, 0, 7};
  const Tensor got =
      run_eval(make_node("Transpose", 1), {pack_integers(DType::i4, {2, 3}, codes)})[0];
  EXPECT_EQ(got.shape(), (Shape{3, 2}));
  EXPECT_EQ(unpack_integers(got), turned);
}

TEST(Transpose, large_planes_are_the_same_for_every_thread_count) {
  const Tensor in = random_tensor({2, 301, 257}, 1);
  const Node node =
      make_node("Transpose", 1, make_attributes({{"perm", std::vector<int64_t>{0, 2, 1}}}));
  const Tensor one = run_prepared(node, {in}, {}, 1).at(0);
  EXPECT_TRUE(same_bytes(one, run_prepared(node, {in}, {}, 3).at(0)));
  EXPECT_TRUE(same_bytes(run_prepared(node, {one}, {}, 2).at(0), in));  // its own inverse
}

TEST(Concat, then_split_gives_the_parts_back) {
  for (int64_t axis : {0, 1, 2, -1}) {
    Shape b_shape = {2, 3, 4};
    b_shape[static_cast<int>(axis < 0 ? axis + 3 : axis)] = 7;
    const Tensor a = random_tensor({2, 3, 4}, 1), b = random_tensor(b_shape, 2);
    const Tensor both =
        run_prepared(make_node("Concat", 2, make_attributes({{"axis", axis}})), {a, b}, {}, 2)
            .at(0);
    const int64_t first = a.shape()[static_cast<int>(axis < 0 ? axis + 3 : axis)];
    const std::vector<Tensor> parts =
        run_prepared(make_node("Split", 2, make_attributes({{"axis", axis}}), 2),
                     {both, list({first, 7})}, {false, true}, 2);
    EXPECT_TRUE(same_bytes(parts.at(0), a));
    EXPECT_TRUE(same_bytes(parts.at(1), b));
  }
}

TEST(Slice, walks_forwards_and_backwards_and_clamps) {
  const Tensor in = counting(DType::f32, {10});
  struct Case {
    int64_t start, end, step;
    std::vector<int64_t> want;
  };
  for (const Case& c : std::vector<Case>{{1, 4, 1, {1, 2, 3}},
                                         {-3, INT64_MAX, 1, {7, 8, 9}},
                                         {0, -1, 4, {0, 4, 8}},
                                         {8, 2, -3, {8, 5}},
                                         {INT64_MAX, INT64_MIN, -4, {9, 5, 1}},
                                         {3, 3, 1, {}},
                                         {-100, 2, 1, {0, 1}}}) {
    const std::vector<Tensor> inputs = {in, list({c.start}), list({c.end}), list({0}),
                                        list({c.step})};
    const Node node = make_node("Slice", 5);
    EXPECT_EQ(values_of(run_eval(node, inputs)[0]), c.want);
    EXPECT_EQ(values_of(run_prepared(node, inputs, {false, true, true, true, true}).at(0)), c.want);
  }
}

TEST(Pad, repeats_as_each_mode_says_and_crops_for_negative_amounts) {
  const Tensor in = counting(DType::f32, {4});
  const auto padded = [&](const char* mode, int64_t before, int64_t after) {
    const Node node = make_node("Pad", 2, make_attributes({{"mode", std::string(mode)}}));
    return values_of(run_prepared(node, {in, list({before, after})}, {false, true}).at(0));
  };
  using List = std::vector<int64_t>;
  EXPECT_EQ(padded("constant", 1, 2), (List{0, 0, 1, 2, 3, 0, 0}));
  EXPECT_EQ(padded("reflect", 2, 2), (List{2, 1, 0, 1, 2, 3, 2, 1}));
  EXPECT_EQ(padded("edge", 1, 2), (List{0, 0, 1, 2, 3, 3, 3}));
  EXPECT_EQ(padded("wrap", 2, 1), (List{2, 3, 0, 1, 2, 3, 0}));
  EXPECT_EQ(padded("constant", -1, 1), (List{1, 2, 3, 0}));
}

TEST(Gather, counts_negative_indices_from_the_end_and_refuses_others) {
  const Tensor in = counting(DType::f32, {3, 2});
  const Node node = make_node("Gather", 2);
  EXPECT_EQ(values_of(run_eval(node, {in, list({-1, 0})})[0]), (std::vector<int64_t>{4, 5, 0, 1}));
  EXPECT_THROW(run_eval(node, {in, list({3})}), Error);
}

TEST(Reshape, infers_the_open_dimension_even_of_a_dynamic_batch) {
  const Node node = make_node("Reshape", 2);
  const std::vector<TensorType> types = {{.dtype = DType::f32, .shape = {-1, 8, 4, 4}},
                                         {.dtype = DType::i64, .shape = {2}}};
  const std::vector<Tensor> constants = {Tensor(), list({0, -1})};
  const NodeTypes known(node, 21, types, constants);
  EXPECT_EQ(require_op(node, 21).infer.function(known)[0].shape, (Shape{-1, 128}));
  EXPECT_THROW(run_eval(node, {random_tensor({2, 3}, 1), list({4, -1})}), Error);
}

}  // namespace
}  // namespace nibble::test
