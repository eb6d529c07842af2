// Fourier transforms, windows, Einsum, Det and RotaryEmbedding.
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "base/random.h"
#include "nibble/error.h"
#include "ops/op_case.h"

namespace nibble::testing {
namespace {

Attribute text(const char* value) { return std::string(value); }

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::f32, shape);
  Random random(seed);
  for (float& value : tensor.data<float>()) value = static_cast<float>(random.normal());
  return tensor;
}

TEST(einsum, cases_hold) {
  const Tensor a = f32({2, 2}, {1, 2, 3, 4});
  const Tensor b = f32({2, 2}, {5, 6, 7, 8});
  const std::vector<OpCase> cases = {
      {"Einsum", {a, b}, {f32({2, 2}, {19, 22, 43, 50})}, {{"equation", text("ij,jk->ik")}}},
      {"Einsum", {a}, {f32({2, 2}, {1, 3, 2, 4})}, {{"equation", text("ij -> ji")}}},
      {"Einsum", {a}, {f32({}, {5})}, {{"equation", text("ii->")}}},
      {"Einsum", {a}, {f32({2}, {1, 4})}, {{"equation", text("ii->i")}}},
      {"Einsum", {a, b}, {f32({2, 2}, {5, 12, 21, 32})}, {{"equation", text("...,...->...")}}},
      {"Einsum",
       {f32({2, 1, 2}, {1, 2, 3, 4}), f32({2}, {1, 10})},
       {f32({2, 1}, {21, 43})},
       {{"equation", text("...i,i")}}},
      {"Einsum",
       {i32({2}, {3, 4}), i32({2}, {-1, 2})},
       {i32({}, {5})},
       {{"equation", text("i,i")}}},
      {"Det", {f32({2, 2, 2}, {1, 2, 3, 4, 0, 1, 1, 0})}, {f32({2}, {-2, -1})}},
      {"Det", {f32({2, 2}, {1, 2, 2, 4})}, {f32({}, {0})}},
  };
  for (const OpCase& op_case : cases) expect_case(op_case);
}

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

TEST(stft, frames_are_windowed_transforms) {
  const Tensor x = f32({1, 6, 1}, {1, 2, 3, 4, 5, 6});
  const Tensor window = f32({2}, {1, 0.5F});
  const OpCase op_case{
      "STFT", {x, i64({}, {2}), window}, {f32({1, 3, 2, 2}, {2, 0, 0, 0, 5, 0, 1, 0, 8, 0, 2, 0})}};
  expect_case(op_case);
  EXPECT_THROW(evaluate({"STFT", {x, i64({}, {0}), window}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"STFT", {x, i64({}, {1}), {}, i64({}, {7})}, {Tensor()}}), Error);
}

TEST(window, cases_hold) {
  const Attribute symmetric = int64_t{0};
  expect_case({"HannWindow", {i32({}, {4})}, {f32({4}, {0, 0.5F, 1, 0.5F})}});
  expect_case({"HannWindow", {i32({}, {3})}, {f32({3}, {0, 1, 0})}, {{"periodic", symmetric}}});
  expect_case({"HannWindow", {i32({}, {1})}, {f32({1}, {1})}, {{"periodic", symmetric}}});
  expect_case({"HammingWindow", {i32({}, {2})}, {f32({2}, {4.0F / 46, 1})}});
  expect_case({"BlackmanWindow", {i32({}, {2})}, {f32({2}, {0, 1})}});
}

TEST(rotary_embedding, a_quarter_turn_exchanges_the_elements_of_a_pair) {
  const Tensor x = f32({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor cosine = f32({2, 2}, {1, 1, 0, 0}), sine = f32({2, 2}, {0, 0, 1, 1});
  const Tensor positions = i64({1, 2}, {0, 1});
  expect_case({"RotaryEmbedding",
               {x, cosine, sine, positions},
               {f32({1, 1, 2, 4}, {1, 2, 3, 4, -7, -8, 5, 6})},
               {},
               23});
  expect_case({"RotaryEmbedding",
               {x.reshaped({1, 2, 4}), cosine, sine, positions},
               {f32({1, 2, 4}, {1, 2, 3, 4, -6, 5, 7, 8})},
               {{"interleaved", int64_t{1}},
                {"num_heads", int64_t{1}},
                {"rotary_embedding_dim", int64_t{2}}},
               23});
  EXPECT_THROW(evaluate({"RotaryEmbedding", {x, cosine, sine, i64({1, 2}, {0, 2})}, {Tensor()}}),
               Error);
}

}  // namespace
}  // namespace nibble::testing
