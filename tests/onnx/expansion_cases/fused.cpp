// Layers with an activation, a sum or a transposition of their own.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

using Attributes = std::vector<std::pair<std::string, Attribute>>;

// [rows, depth] x [depth, columns]
std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b,
                            size_t depth, size_t columns) {
  std::vector<double> y(a.size() / depth * columns);
  for (size_t i = 0; i < y.size(); ++i) {
    for (size_t k = 0; k < depth; ++k) {
      y[i] += a[i / columns * depth + k] * b[k * columns + i % columns];
    }
  }
  return y;
}

std::vector<double> turned(const std::vector<double>& in, size_t rows, size_t columns) {
  std::vector<double> out(in.size());
  for (size_t i = 0; i < in.size(); ++i) out[i % columns * rows + i / columns] = in[i];
  return out;
}

std::vector<double> mapped(std::vector<double> values,
                           const std::function<double(double)>& function) {
  for (double& value : values) value = function(value);
  return values;
}

// Kernels of 1 x 1 over 2 channels of 3 pixels; z is added before the activation.
void add_convolutions(std::vector<ExpansionCase>& cases) {
  const auto x = numbers(6, 1), w = numbers(4, 2), bias = numbers(2, 3), z = numbers(6, 4);
  std::vector<double> y(6), with_z(6);
  for (size_t i = 0; i < 6; ++i) {
    y[i] = bias[i / 3] + w[i / 3 * 2] * x[i % 3] + w[i / 3 * 2 + 1] * x[3 + i % 3];
    with_z[i] = y[i] + z[i];
  }
  const Shape shape{1, 2, 1, 3}, last{1, 1, 3, 2};
  const Tensor weight = reals({2, 2, 1, 1}, w), b = reals({2}, bias);
  const auto add = [&](const char* op, std::vector<Tensor> inputs, const Tensor& expected,
                       Attributes attributes) {
    cases.push_back({.node = {.op = op,
                              .inputs = std::move(inputs),
                              .expected = {expected},
                              .attributes = std::move(attributes),
                              .domain = kMicrosoft},
                     .constant = {false, true, true, false}});
  };
  const auto relu = [](double v) { return std::max(v, 0.0); };
  add("FusedConv", {reals(shape, x), weight, b}, reals(shape, mapped(y, relu)),
      {{"activation", std::string("Relu")}});
  add("FusedConv", {reals(shape, x), weight, b, reals(shape, z)},
      reals(shape, mapped(with_z, [](double v) { return v < 0 ? f(0.3F) * v : v; })),
      {{"activation", std::string("LeakyRelu")}, {"activation_params", std::vector<float>{0.3F}}});
  add("FusedConv", {reals(shape, x), weight, b},
      reals(shape, mapped(y, [](double v) { return std::clamp(v, -0.5, 0.5); })),
      {{"activation", std::string("Clip")},
       {"activation_params", std::vector<float>{-0.5F, 0.5F}}});
  add("FusedConv", {reals(shape, x), weight, b},
      reals(shape, mapped(y, [](double v) { return std::clamp(f(0.1F) * v + 0.25, 0.0, 1.0); })),
      {{"activation", std::string("HardSigmoid")},
       {"activation_params", std::vector<float>{0.1F, 0.25F}}});
  const Tensor x_last = reals(last, turned(x, 2, 3));
  add("NhwcConv", {x_last, weight, b}, reals(last, turned(y, 2, 3)), {});
  add("NhwcFusedConv", {x_last, weight, b, reals(last, turned(z, 2, 3))},
      reals(last, turned(mapped(with_z, relu), 2, 3)), {{"activation", std::string("Relu")}});
  // The larger of two neighbours of each of two channels; codes as well as reals.
  cases.push_back({.node = {.op = "NhwcMaxPool",
                            .inputs = {u8({1, 1, 4, 2}, {1, 80, 2, 70, 3, 60, 4, 50})},
                            .expected = {u8({1, 1, 2, 2}, {2, 80, 4, 60})},
                            .attributes = {{"kernel_shape", std::vector<int64_t>{1, 2}},
                                           {"strides", std::vector<int64_t>{1, 2}}},
                            .domain = kMicrosoft}});
}

void add_products(std::vector<ExpansionCase>& cases) {
  const auto a = numbers(6, 5), b = numbers(12, 6), c = numbers(4, 7);
  const auto ab = product(a, b, 3, 4);  // [2, 3] x [3, 4]
  const Attributes both = {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5F}};
  const auto half = mapped(ab, [](double v) { return v / 2; });
  const Tensor a_turned = reals({3, 2}, turned(a, 2, 3)), b_turned = reals({4, 3}, turned(b, 3, 4));
  for (const char* op : {"FusedMatMul", "TransposeMatMul"}) {
    cases.push_back({.node = {.op = op,
                              .inputs = {a_turned, b_turned},
                              .expected = {reals({2, 4}, half)},
                              .attributes = both,
                              .domain = kMicrosoft},
                     .constant = {false, true}});
  }
  Attributes activated = both;
  activated.emplace_back("activation", std::string("Tanh"));
  cases.push_back(
      {.node = {.op = "FusedMatMulActivation",
                .inputs = {a_turned, b_turned},
                .expected = {reals({2, 4}, mapped(half, [](double v) { return std::tanh(v); }))},
                .attributes = activated,
                .domain = kMicrosoft}});
  std::vector<double> with_c;
  for (size_t i = 0; i < 8; ++i) with_c.push_back(std::max(0.0, half[i] + 3 * c[i % 4]));
  Attributes gemm = both;
  gemm.emplace_back("beta", 3.0F);
  gemm.emplace_back("activation", std::string("Relu"));
  cases.push_back({.node = {.op = "FusedGemm",
                            .inputs = {a_turned, b_turned, reals({4}, c)},
                            .expected = {reals({2, 4}, with_c)},
                            .attributes = gemm,
                            .domain = kMicrosoft},
                   .constant = {false, true, true}});
}

// Batches of two: [2, 2, 3] x [2, 3, 2], and the same with the batch behind the rows.
void add_batches(std::vector<ExpansionCase>& cases) {
  const auto a = numbers(12, 8), b = numbers(12, 9);
  std::vector<double> y, b_turned, a_rows_first(12);
  for (size_t batch = 0; batch < 2; ++batch) {
    const std::vector<double> left(a.begin() + static_cast<int>(batch) * 6,
                                   a.begin() + static_cast<int>(batch) * 6 + 6);
    const std::vector<double> right(b.begin() + static_cast<int>(batch) * 6,
                                    b.begin() + static_cast<int>(batch) * 6 + 6);
    for (const double v : product(left, right, 3, 2)) y.push_back(2 * v);
    for (const double v : turned(right, 3, 2)) b_turned.push_back(v);
    for (size_t i = 0; i < 6; ++i) a_rows_first[(i / 3 * 2 + batch) * 3 + i % 3] = left[i];
  }
  cases.push_back({.node = {.op = "FusedMatMul",
                            .inputs = {reals({2, 2, 3}, a), reals({2, 2, 3}, b_turned)},
                            .expected = {reals({2, 2, 2}, y)},
                            .attributes = {{"transB", int64_t{1}}, {"alpha", 2.0F}},
                            .domain = kMicrosoft}});
  cases.push_back({.node = {.op = "FusedMatMul",
                            .inputs = {reals({2, 2, 3}, a_rows_first), reals({2, 3, 2}, b)},
                            .expected = {reals({2, 2, 2}, y)},
                            .attributes = {{"transBatchA", int64_t{1}}, {"alpha", 2.0F}},
                            .domain = kMicrosoft}});
}

}  // namespace

void add_fused_cases(std::vector<ExpansionCase>& cases) {
  add_convolutions(cases);
  add_products(cases);
  add_batches(cases);
}

}  // namespace nibble::testing
