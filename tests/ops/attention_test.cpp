// Attention against sums written out one by one.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "ops/op_case.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

double at(const Tensor& t, int64_t a, int64_t b, int64_t c, int64_t d) {
  const Shape& s = t.shape();
  return static_cast<double>(
      t.data<float>()[static_cast<size_t>(((a * s[1] + b) * s[2] + c) * s[3] + d)]);
}

// Two queries of four heads over two cached and three new keys of two heads, causal.
TEST(attention, groups_share_keys_and_the_cache_comes_first) {
  const Tensor q = random_tensor({2, 4, 2, 9}, 1);
  const Tensor k = random_tensor({2, 2, 3, 9}, 2), v = random_tensor({2, 2, 3, 5}, 3);
  const Tensor past_k = random_tensor({2, 2, 2, 9}, 4), past_v = random_tensor({2, 2, 2, 5}, 5);
  Tensor keys(DType::f32, {2, 2, 5, 9}), values(DType::f32, {2, 2, 5, 5}),
      y(DType::f32, {2, 4, 2, 5});
  const auto join = [](const Tensor& past, const Tensor& fresh, Tensor& to) {
    float* out = to.data<float>().data();
    for (int64_t head = 0; head < 4; ++head) {
      const int64_t p = past.elements() / 4, f = fresh.elements() / 4;
      out = std::copy_n(past.data<float>().data() + head * p, p, out);
      out = std::copy_n(fresh.data<float>().data() + head * f, f, out);
    }
  };
  join(past_k, k, keys);
  join(past_v, v, values);
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 4; ++h) {
      for (int64_t i = 0; i < 2; ++i) {
        std::vector<double> weight;
        double sum = 0;
        for (int64_t j = 0; j <= i + 2; ++j) {
          double dot = 0;
          for (int64_t d = 0; d < 9; ++d) dot += at(q, b, h, i, d) * at(keys, b, h / 2, j, d);
          weight.push_back(std::exp(dot / 3));
          sum += weight.back();
        }
        for (int64_t d = 0; d < 5; ++d) {
          double value = 0;
          for (size_t j = 0; j < weight.size(); ++j) {
            value += weight[j] / sum * at(values, b, h / 2, static_cast<int64_t>(j), d);
          }
          y.data<float>()[static_cast<size_t>(((b * 4 + h) * 2 + i) * 5 + d)] =
              static_cast<float>(value);
        }
      }
    }
  }
  expect_case({"Attention",
               {q, k, v, {}, past_k, past_v},
               {y, keys, values},
               {{"is_causal", int64_t{1}}},
               24});
}

TEST(attention, a_query_without_any_key_gives_zeros) {
  const Tensor q = random_tensor({1, 1, 2, 4}, 1);
  const Tensor mask = boolean({2, 2}, {false, false, true, false});
  const Tensor y = evaluate({"Attention", {q, q, q, mask}, {Tensor()}, {}, 24})[0];
  for (int64_t d = 0; d < 4; ++d) {
    EXPECT_EQ(at(y, 0, 0, 0, d), 0);
    EXPECT_EQ(at(y, 0, 0, 1, d), at(q, 0, 0, 0, d));
  }
}

TEST(attention, heads_that_cannot_share_and_masks_that_do_not_fit_are_refused) {
  const Tensor q = random_tensor({1, 3, 2, 4}, 1), k = random_tensor({1, 2, 2, 4}, 2);
  EXPECT_THROW(infer({"Attention", {q, k, k}, {Tensor()}, {}, 24}), Error);
  EXPECT_THROW(evaluate({"Attention", {k, k, k, f32({3}, {0, 0, 0})}, {Tensor()}, {}, 24}), Error);
  EXPECT_THROW(evaluate({"Attention", {k, q, k}, {Tensor()}, {}, 24}), Error);
}

TEST(loss, a_label_that_is_no_class_is_refused) {
  const Tensor scores = f32({2, 2}, {0, 0, 0, 1});
  EXPECT_THROW(evaluate({"NegativeLogLikelihoodLoss", {scores, i64({2}, {0, 2})}, {Tensor()}}),
               Error);
}

}  // namespace
}  // namespace nibble::testing
