// Fourier transforms against their definition; what Einsum, Det, STFT and RotaryEmbedding refuse.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "nibble/error.h"
#include "ops/op_case.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

TEST(einsum, equations_that_do_not_fit_are_refused) {
  const Tensor a = f32({2, 2}, {1, 2, 3, 4});
  for (const char* equation : {"ijk->i", "ij,jk->ik", "ij->k", "ij->ii", "i1->i", "ij,"}) {
    EXPECT_THROW(infer({"Einsum", {a}, {Tensor()}, {{"equation", text(equation)}}}), Error)
        << equation;
  }
  EXPECT_THROW(infer({"Det", {f32({1, 2}, {1, 2})}, {Tensor()}}), Error);
}

// Lengths with and without even factors, against the definition.
TEST(dft, equals_the_sum_of_its_definition) {
  for (int64_t n : {1, 2, 3, 8, 12, 15}) {
    SCOPED_TRACE(n);
    const Tensor x = random_tensor({2, n, 3, 2}, 1);
    Tensor expected(DType::f32, x.shape());
    const auto at = [&](int64_t b, int64_t i, int64_t c) {
      return static_cast<size_t>(((b * n + i) * 3 + c) * 2);
    };
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t c = 0; c < 3; ++c) {
        for (int64_t k = 0; k < n; ++k) {
          std::complex<double> sum = 0;
          for (int64_t i = 0; i < n; ++i) {
            const float* v = x.data<float>().data() + at(b, i, c);
            const double angle =
                -2 * std::numbers::pi * static_cast<double>(i * k) / static_cast<double>(n);
            sum += std::complex<double>(v[0], v[1]) * std::polar(1.0, angle);
          }
          expected.data<float>()[at(b, k, c)] = static_cast<float>(sum.real());
          expected.data<float>()[at(b, k, c) + 1] = static_cast<float>(sum.imag());
        }
      }
    }
    expect_case({"DFT", {x, {}, i64({}, {1})}, {expected}});
    expect_case({"DFT", {x}, {expected}, {{"axis", int64_t{1}}}, 19});
    expect_case({"DFT", {expected, {}, i64({}, {-3})}, {x}, {{"inverse", int64_t{1}}}});
  }
}

TEST(dft, one_half_of_the_spectrum_gives_the_real_signal_back) {
  const Tensor x = random_tensor({1, 10, 1}, 2);
  const Attribute one = int64_t{1};
  const Tensor half = evaluate({"DFT", {x}, {Tensor()}, {{"onesided", one}}})[0];
  EXPECT_EQ(half.shape(), (Shape{1, 6, 2}));
  expect_case({"DFT", {half}, {x}, {{"onesided", one}, {"inverse", one}}});
}

TEST(stft, frames_that_do_not_fit_are_refused) {
  const Tensor x = f32({1, 6, 1}, {1, 2, 3, 4, 5, 6});
  EXPECT_THROW(evaluate({"STFT", {x, i64({}, {0}), f32({2}, {1, 0.5F})}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"STFT", {x, i64({}, {1}), {}, i64({}, {7})}, {Tensor()}}), Error);
}

TEST(rotary_embedding, a_position_beyond_the_table_is_refused) {
  const Tensor x = f32({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor table = f32({2, 2}, {1, 1, 0, 0});
  EXPECT_THROW(evaluate({"RotaryEmbedding", {x, table, table, i64({1, 2}, {0, 2})}, {Tensor()}}),
               Error);
}

}  // namespace
}  // namespace nibble::testing
