// Integer arithmetic on codes.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

// A value as codes, and the reals they stand for.
struct Coded {
  Tensor codes, scale, zero;
  std::vector<double> reals;
};

Coded coded(DType dtype, const Shape& shape, double scale, int zero, uint32_t seed) {
  const auto q =
      some_codes(static_cast<size_t>(shape.elements()), seed, static_cast<int>(lowest_of(dtype)),
                 static_cast<int>(highest_of(dtype)));
  Coded result{.codes = codes(dtype, shape, q),
               .scale = reals({}, {scale}),
               .zero = codes(dtype, {}, {zero}),
               .reals = {}};
  for (const int32_t code : q) result.reals.push_back(f(scale) * (code - zero));
  return result;
}

constexpr double kScale = 0.037;  // of all results, with this zero point
constexpr int kZero = 90;

ExpansionCase case_of(const char* op, std::vector<Tensor> inputs, const Shape& shape,
                      const std::vector<double>& values,
                      std::vector<std::pair<std::string, Attribute>> attributes = {}) {
  inputs.push_back(reals({}, {kScale}));
  inputs.push_back(codes(DType::u8, {}, {kZero}));
  std::vector<bool> constant;  // scales and zero points
  for (const Tensor& input : inputs) constant.push_back(input.shape().rank() == 0);
  return {.node = {.op = op,
                   .inputs = std::move(inputs),
                   .expected = {quantized(DType::u8, shape, values, kScale, kZero)},
                   .attributes = std::move(attributes),
                   .domain = kMicrosoft},
          .constant = constant};
}

std::vector<Tensor> inputs_of(const Coded& a) { return {a.codes, a.scale, a.zero}; }

std::vector<double> mapped(const std::vector<double>& values,
                           const std::function<double(double)>& function) {
  std::vector<double> result;
  for (const double value : values) result.push_back(function(value));
  return result;
}

void add_elementwise(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::u8, {2, 3}, 0.021, 128, 1), b = coded(DType::u8, {3}, 0.013, 7, 2);
  std::vector<double> total, product;
  for (size_t i = 0; i < a.reals.size(); ++i) {
    total.push_back(a.reals[i] + b.reals[i % 3]);
    product.push_back(a.reals[i] * b.reals[i % 3]);
  }
  const std::vector<Tensor> both = {a.codes, a.scale, a.zero, b.codes, b.scale, b.zero};
  cases.push_back(case_of("QLinearAdd", both, {2, 3}, total));
  cases.push_back(case_of("QLinearMul", both, {2, 3}, product));
  // A mask of the lowest float, a constant: 127 times its scale, which was rounded, is beyond f32.
  ExpansionCase mask = case_of(
      "QLinearMul",
      {codes(DType::u8, {3}, {128, 129, 128}), reals({}, {0.021}), codes(DType::u8, {}, {128}),
       codes(DType::i8, {3}, {-127, 127, 0}), reals({}, {2.6793887e36}), codes(DType::i8, {}, {0})},
      {3}, {0, 1000, 0});
  mask.constant[3] = true;
  cases.push_back(std::move(mask));
  cases.push_back(case_of("QLinearSigmoid", inputs_of(a), {2, 3},
                          mapped(a.reals, [](double x) { return 1 / (1 + std::exp(-x)); })));
  cases.push_back(case_of("QLinearLeakyRelu", inputs_of(a), {2, 3},
                          mapped(a.reals, [](double x) { return x < 0 ? f(0.2) * x : x; }),
                          {{"alpha", 0.2F}}));
  const Coded c = coded(DType::u8, {2, 3}, 0.021, 128, 3);
  std::vector<double> chosen;
  for (size_t i = 0; i < 6; ++i) chosen.push_back(i % 2 == 0 ? a.reals[i] : c.reals[i]);
  std::vector<Tensor> where = {boolean({2, 3}, {true, false, true, false, true, false})};
  for (const Coded* x : {&a, &c}) where.insert(where.end(), {x->codes, x->scale, x->zero});
  cases.push_back(case_of("QLinearWhere", where, {2, 3}, chosen));
}

// Signed codes whose zero point is left out.
void add_signed(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::i8, {4}, 0.02, 0, 4), b = coded(DType::i8, {4}, 0.03, 0, 5);
  std::vector<double> total;
  for (size_t i = 0; i < 4; ++i) total.push_back(a.reals[i] + b.reals[i]);
  cases.push_back({.node = {.op = "QLinearAdd",
                            .inputs = {a.codes, a.scale, Tensor(), b.codes, b.scale, Tensor(),
                                       reals({}, {0.05}), Tensor()},
                            .expected = {quantized(DType::i8, {4}, total, 0.05, 0)},
                            .domain = kMicrosoft},
                   .constant = {false, true, false, false, true, false, true, false}});
}

void add_softmax(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::u8, {2, 2, 3}, 0.02, 100, 6);
  const auto over = [&](size_t run) {  // runs of so many are normalized
    std::vector<double> result(a.reals.size());
    for (size_t begin = 0; begin < result.size(); begin += run) {
      double sum = 0;
      for (size_t i = begin; i < begin + run; ++i) sum += std::exp(a.reals[i]);
      for (size_t i = begin; i < begin + run; ++i) result[i] = std::exp(a.reals[i]) / sum;
    }
    return result;
  };
  cases.push_back(case_of("QLinearSoftmax", inputs_of(a), {2, 2, 3}, over(3),
                          {{"axis", int64_t{-1}}, {"opset", int64_t{13}}}));
  cases.push_back(case_of("QLinearSoftmax", inputs_of(a), {2, 2, 3}, over(6),
                          {{"axis", int64_t{1}}, {"opset", int64_t{12}}}));
}

void add_pools(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::u8, {1, 2, 2, 4}, 0.02, 100, 7);  // [N,C,H,W]
  std::vector<double> all, pairs;
  for (size_t c = 0; c < 2; ++c) {
    double sum = 0;
    for (size_t i = 0; i < 8; ++i) sum += a.reals[c * 8 + i];
    all.push_back(sum / 8);
    for (size_t i = 0; i < 8; i += 2) {
      pairs.push_back((a.reals[c * 8 + i] + a.reals[c * 8 + i + 1]) / 2);
    }
  }
  cases.push_back(case_of("QLinearGlobalAveragePool", inputs_of(a), {1, 2, 1, 1}, all));
  cases.push_back(case_of(
      "QLinearAveragePool", inputs_of(a), {1, 2, 2, 2}, pairs,
      {{"kernel_shape", std::vector<int64_t>{1, 2}}, {"strides", std::vector<int64_t>{1, 2}}}));
  cases.push_back(case_of("QLinearReduceMean", inputs_of(a), {1, 2}, all,
                          {{"axes", std::vector<int64_t>{2, 3}}, {"keepdims", int64_t{0}}}));
  const Coded last = coded(DType::u8, {1, 2, 4, 2}, 0.02, 100, 8);  // [N,H,W,C]
  std::vector<double> means;
  for (size_t c = 0; c < 2; ++c) {
    double sum = 0;
    for (size_t i = 0; i < 8; ++i) sum += last.reals[i * 2 + c];
    means.push_back(sum / 8);
  }
  cases.push_back(case_of("QLinearGlobalAveragePool", inputs_of(last), {1, 1, 1, 2}, means,
                          {{"channels_last", int64_t{1}}}));
}

void add_concat(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::u8, {1, 3}, 0.021, 128, 9),
              b = coded(DType::u8, {1, 2}, 0.013, 7, 10);
  std::vector<double> joined = a.reals;
  joined.insert(joined.end(), b.reals.begin(), b.reals.end());
  cases.push_back({.node = {.op = "QLinearConcat",
                            .inputs = {reals({}, {kScale}), codes(DType::u8, {}, {kZero}), a.codes,
                                       a.scale, a.zero, b.codes, b.scale, b.zero},
                            .expected = {quantized(DType::u8, {1, 5}, joined, kScale, kZero)},
                            .attributes = {{"axis", int64_t{1}}},
                            .domain = kMicrosoft},
                   .constant = {true, true, false, true, true, false, true, true}});
}

// [2, 4] x [4, 3] with a scale for each column; a bias of 32 bits where there is one.
void add_products(std::vector<ExpansionCase>& cases) {
  const Coded a = coded(DType::u8, {2, 4}, 0.01, 120, 11);
  const std::vector<int32_t> b = some_codes(12, 12, -127, 127), bias = {400, -300, 77};
  const std::vector<double> scales = {0.004, 0.008, 0.002};
  std::vector<double> plain, with_bias;
  std::vector<int32_t> turned(12);
  for (size_t r = 0; r < 2; ++r) {
    for (size_t c = 0; c < 3; ++c) {
      double sum = 0;
      for (size_t k = 0; k < 4; ++k) {
        turned[c * 4 + k] = b[k * 3 + c];
        sum += a.reals[r * 4 + k] * b[k * 3 + c] * f(scales[c]);
      }
      plain.push_back(sum);
      with_bias.push_back(sum + bias[c] * f(0.01) * f(scales[c]));
    }
  }
  const Tensor weight = codes(DType::i8, {4, 3}, b), zeros = codes(DType::i8, {3}, {0, 0, 0});
  ExpansionCase product =
      case_of("QLinearMatMul", {a.codes, a.scale, a.zero, weight, reals({3}, scales), zeros},
              {2, 3}, plain);
  product.node.domain = "";
  product.constant = {false, true, true, true, true, true, true, true};
  cases.push_back(product);

  ExpansionCase gemm = case_of("QGemm",
                               {a.codes, a.scale, a.zero, codes(DType::i8, {3, 4}, turned),
                                reals({3}, scales), zeros, codes(DType::i32, {3}, bias)},
                               {2, 3}, with_bias, {{"transB", int64_t{1}}});
  gemm.constant = {false, true, true, true, true, true, true, true, true};
  cases.push_back(gemm);
  gemm.node.inputs.resize(7);  // a real result
  gemm.node.expected = {reals({2, 3}, with_bias)};
  cases.push_back(gemm);
}

// Kernels of 1 x 1: each pixel is multiplied by a matrix.
void add_convolutions(std::vector<ExpansionCase>& cases) {
  const Coded x = coded(DType::u8, {1, 2, 1, 3}, 0.01, 120, 13);
  const std::vector<int32_t> w = some_codes(4, 14, -127, 127), bias = {500, -200};
  const std::vector<double> scales = {0.004, 0.008};
  std::vector<double> y, y_last(6);
  std::vector<int32_t> x_last(6);
  const std::vector<int32_t> x_codes = unpack_integers(x.codes);
  for (size_t o = 0; o < 2; ++o) {
    for (size_t p = 0; p < 3; ++p) {
      double sum = bias[o] * f(0.01) * f(scales[o]);
      for (size_t c = 0; c < 2; ++c) {
        sum += x.reals[c * 3 + p] * w[o * 2 + c] * f(scales[o]);
        x_last[p * 2 + c] = x_codes[c * 3 + p];
      }
      y.push_back(sum);
      y_last[p * 2 + o] = sum;
    }
  }
  for (const bool last : {false, true}) {
    ExpansionCase conv = case_of(
        "QLinearConv",
        {last ? codes(DType::u8, {1, 1, 3, 2}, x_last) : x.codes, x.scale, x.zero,
         codes(DType::i8, {2, 2, 1, 1}, w), reals({2}, scales), codes(DType::i8, {2}, {0, 0})},
        last ? Shape{1, 1, 3, 2} : Shape{1, 2, 1, 3}, last ? y_last : y);
    conv.node.inputs.push_back(codes(DType::i32, {2}, bias));
    conv.constant = {false, true, true, true, true, true, true, true, true};
    conv.node.domain = last ? kMicrosoft : "";
    if (last) conv.node.attributes = {{"channels_last", int64_t{1}}};
    cases.push_back(conv);
  }
}

}  // namespace

void add_qlinear_cases(std::vector<ExpansionCase>& cases) {
  add_elementwise(cases);
  add_signed(cases);
  add_softmax(cases);
  add_pools(cases);
  add_concat(cases);
  add_products(cases);
  add_convolutions(cases);
}

}  // namespace nibble::testing
