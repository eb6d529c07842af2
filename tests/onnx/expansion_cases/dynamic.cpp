// Codes whose scales are found at run time, and recurrent layers with quantized weights.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

// [2, 4] x [4, 3], with a scale for each column.
void add_products(std::vector<ExpansionCase>& cases) {
  const auto x = numbers(8, 1);
  const std::vector<int32_t> b = some_codes(12, 2, -127, 127);
  const std::vector<double> scales = {0.004, 0.008, 0.002}, bias = numbers(3, 3);
  double low = 0, high = 0;
  for (const double value : x) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const auto scale = f((high - low) / 255);
  const auto zero = static_cast<int>(std::nearbyint(-low / scale));
  std::vector<int32_t> a;
  for (const double value : x) a.push_back(static_cast<int>(std::nearbyint(value / scale)) + zero);
  std::vector<double> y;
  for (size_t i = 0; i < 6; ++i) {
    double sum = 0;
    for (size_t k = 0; k < 4; ++k) sum += (a[i / 3 * 4 + k] - zero) * b[k * 3 + i % 3];
    y.push_back(sum * scale * f(scales[i % 3]) + bias[i % 3]);
  }
  const Tensor weight = codes(DType::i8, {4, 3}, b), w_scale = reals({3}, scales),
               w_zero = codes(DType::i8, {3}, {0, 0, 0}), extra = reals({3}, bias);
  cases.push_back({.node = {.op = "DynamicQuantizeMatMul",
                            .inputs = {reals({2, 4}, x), weight, w_scale, w_zero, extra},
                            .expected = {reals({2, 3}, y)},
                            .domain = kMicrosoft},
                   .constant = {false, true, true, true, true}});
  for (const bool is_static : {false, true}) {
    cases.push_back({.node = {.op = "MatMulIntegerToFloat",
                              .inputs = {codes(DType::u8, {2, 4}, a), weight, reals({}, {scale}),
                                         w_scale, codes(DType::u8, {}, {zero}), w_zero, extra},
                              .expected = {reals({2, 3}, y)},
                              .domain = kMicrosoft},
                     .constant = {false, true, is_static, true, is_static, true, true}});
  }
}

struct Lstm {
  size_t inputs, hidden;
  std::vector<double> w, r;  // [inputs, 4 * hidden], [hidden, 4 * hidden]; gates i, o, f, c
};

// h after each step, c after the last.
std::pair<std::vector<double>, std::vector<double>> run(const Lstm& layer,
                                                        const std::vector<double>& x) {
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  const size_t n = layer.hidden;
  std::vector<double> h(n), c(n), all;
  for (size_t t = 0; t < x.size() / layer.inputs; ++t) {
    std::vector<double> gates(4 * n);
    for (size_t g = 0; g < 4 * n; ++g) {
      for (size_t k = 0; k < layer.inputs; ++k) {
        gates[g] += x[t * layer.inputs + k] * layer.w[k * 4 * n + g];
      }
      for (size_t k = 0; k < n; ++k) gates[g] += h[k] * layer.r[k * 4 * n + g];
    }
    for (size_t u = 0; u < n; ++u) {
      c[u] = sigmoid(gates[2 * n + u]) * c[u] + sigmoid(gates[u]) * std::tanh(gates[3 * n + u]);
      h[u] = sigmoid(gates[n + u]) * std::tanh(c[u]);
    }
    all.insert(all.end(), h.begin(), h.end());
  }
  return {all, c};
}

// Three steps of one sample of 2 numbers, 2 units.
void add_lstm(std::vector<ExpansionCase>& cases, bool per_gate, size_t directions) {
  constexpr size_t kInputs = 2, kHidden = 2, kGates = 8;
  const auto x = numbers(6, 5);
  const auto w = some_codes(directions * kInputs * kGates, 6, -127, 127),
             r = some_codes(directions * kHidden * kGates, 7, -127, 127);
  const size_t scales = directions * (per_gate ? kGates : 1);
  const auto w_scale = numbers(scales, 8, 0.005, 0.01), r_scale = numbers(scales, 9, 0.005, 0.01);
  const auto reals_of = [&](const std::vector<int32_t>& q, const std::vector<double>& scale,
                            size_t d) {
    std::vector<double> values;
    const size_t count = q.size() / directions;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(q[d * count + i] * scale[per_gate ? d * kGates + i % kGates : d]);
    }
    return values;
  };
  std::vector<double> y(3 * directions * kHidden), last, cells;
  for (size_t d = 0; d < directions; ++d) {
    std::vector<double> steps;
    for (size_t t = 0; t < 3; ++t) {
      const size_t from = d == 0 ? t : 2 - t;
      steps.insert(steps.end(), {x[from * 2], x[from * 2 + 1]});
    }
    const auto [h, c] =
        run({kInputs, kHidden, reals_of(w, w_scale, d), reals_of(r, r_scale, d)}, steps);
    for (size_t t = 0; t < 3; ++t) {
      const size_t at = d == 0 ? t : 2 - t;
      for (size_t u = 0; u < kHidden; ++u) y[(at * directions + d) * kHidden + u] = h[t * 2 + u];
    }
    last.insert(last.end(), h.end() - kHidden, h.end());
    cells.insert(cells.end(), c.begin(), c.end());
  }
  const auto many = static_cast<int64_t>(directions);
  const Shape groups = per_gate ? Shape{many, kGates} : Shape{many};
  const Tensor zeros(DType::i8, groups), none;
  cases.push_back(
      {.node = {.op = "DynamicQuantizeLSTM",
                .inputs = {reals({3, 1, 2}, x), codes(DType::i8, {many, kInputs, kGates}, w),
                           codes(DType::i8, {many, kHidden, kGates}, r), none, none, none, none,
                           none, reals(groups, w_scale), zeros, reals(groups, r_scale), zeros},
                .expected = {reals({3, many, 1, kHidden}, y), reals({many, 1, kHidden}, last),
                             reals({many, 1, kHidden}, cells)},
                .attributes = {{"hidden_size", int64_t{kHidden}},
                               {"direction",
                                std::string(directions == 1 ? "forward" : "bidirectional")}},
                .domain = kMicrosoft},
       .constant = {false, true, true, false, false, false, false, false, true, true, true, true}});
}

}  // namespace

void add_dynamic_cases(std::vector<ExpansionCase>& cases) {
  add_products(cases);
  for (const size_t directions : {1UL, 2UL}) {
    add_lstm(cases, false, directions);
    add_lstm(cases, true, directions);
  }
}

}  // namespace nibble::testing
