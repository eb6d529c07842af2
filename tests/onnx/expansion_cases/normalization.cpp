// Normalizations of rows of 3.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

constexpr size_t kWidth = 3;

// Of each row: (x - mean) / deviation * gamma + beta, or x / root mean square * gamma.
std::vector<double> normalized(const std::vector<double>& x, const std::vector<double>& gamma,
                               const std::vector<double>& beta, bool centred, double epsilon) {
  std::vector<double> y(x.size());
  for (size_t row = 0; row < x.size(); row += kWidth) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < kWidth && centred; ++i) mean += x[row + i] / kWidth;
    for (size_t i = 0; i < kWidth; ++i) variance += std::pow(x[row + i] - mean, 2) / kWidth;
    for (size_t i = 0; i < kWidth; ++i) {
      y[row + i] = (x[row + i] - mean) / std::sqrt(variance + epsilon) * gamma[i] +
                   (beta.empty() ? 0 : beta[i]);
    }
  }
  return y;
}

void add_skip(std::vector<ExpansionCase>& cases) {
  const Shape shape{2, 1, 3};
  const auto x = numbers(6, 1), skip = numbers(6, 2), gamma = numbers(3, 3), beta = numbers(3, 4),
             bias = numbers(3, 5);
  std::vector<double> sum, with_bias, means, factors;
  for (size_t i = 0; i < 6; ++i) {
    sum.push_back(x[i] + skip[i]);
    with_bias.push_back(sum[i] + bias[i % kWidth]);
  }
  for (size_t row = 0; row < 6; row += kWidth) {
    double mean = 0, variance = 0;
    for (size_t i = 0; i < kWidth; ++i) mean += sum[row + i] / kWidth;
    for (size_t i = 0; i < kWidth; ++i) variance += std::pow(sum[row + i] - mean, 2) / kWidth;
    means.push_back(mean);
    factors.push_back(1 / std::sqrt(variance + 1e-12));
  }
  const Tensor input = reals(shape, x), other = reals(shape, skip), g = reals({3}, gamma),
               b = reals({3}, beta), extra = reals({3}, bias);
  cases.push_back(
      {.node = {.op = "SkipLayerNormalization",
                .inputs = {input, other, g, b},
                .expected = {reals(shape, normalized(sum, gamma, beta, true, 1e-12)),
                             reals({2, 1, 1}, means), reals({2, 1, 1}, factors), reals(shape, sum)},
                .opset = 13,
                .domain = kMicrosoft},
       .constant = {false, false, true, true}});
  cases.push_back(
      {.node = {.op = "SkipLayerNormalization",
                .inputs = {input, other, g, b, extra},
                .expected = {reals(shape, normalized(with_bias, gamma, beta, true, 0.1F))},
                .attributes = {{"epsilon", 0.1F}},
                .domain = kMicrosoft},
       .constant = {false, false, true, true, true}});
  cases.push_back(
      {.node = {.op = "SkipSimplifiedLayerNormalization",
                .inputs = {input, other, g, extra},
                .expected = {reals(shape, normalized(with_bias, gamma, {}, false, 1e-12))},
                .domain = kMicrosoft},
       .constant = {false, false, true, true}});
  for (const char* domain : {"", kMicrosoft}) {
    cases.push_back({.node = {.op = "SimplifiedLayerNormalization",
                              .inputs = {input, g},
                              .expected = {reals(shape, normalized(x, gamma, {}, false, 1e-5))},
                              .domain = domain},
                     .constant = {false, true}});
  }
}

// Two sentences of two tokens, tables of 4 words, 3 positions, 2 segments.
void add_embeddings(std::vector<ExpansionCase>& cases) {
  const auto words = numbers(12, 6), positions = numbers(9, 7), segments = numbers(6, 8),
             gamma = numbers(3, 9), beta = numbers(3, 10);
  const std::vector<int32_t> ids = {3, 1, 0, 2}, segment_ids = {0, 1, 1, 0}, mask = {1, 1, 1, 0};
  std::vector<double> sum, of_first_segment;
  for (size_t token = 0; token < 4; ++token) {
    for (size_t i = 0; i < kWidth; ++i) {
      const double base =
          words[static_cast<size_t>(ids[token]) * kWidth + i] + positions[token % 2 * kWidth + i];
      sum.push_back(base + segments[static_cast<size_t>(segment_ids[token]) * kWidth + i]);
      of_first_segment.push_back(base);
    }
  }
  const Tensor g = reals({3}, gamma), b = reals({3}, beta);
  const Shape shape{2, 2, 3};
  cases.push_back(
      {.node = {.op = "EmbedLayerNormalization",
                .inputs = {codes(DType::i32, {2, 2}, ids), codes(DType::i32, {2, 2}, segment_ids),
                           reals({4, 3}, words), reals({3, 3}, positions), reals({2, 3}, segments),
                           g, b, codes(DType::i32, {2, 2}, mask)},
                .expected = {reals(shape, normalized(sum, gamma, beta, true, 1e-12)),
                             i32({2}, {2, 1}), reals(shape, sum)},
                .opset = 13,
                .domain = kMicrosoft},
       .constant = {false, false, true, true, true, true, true, false}});
  cases.push_back(
      {.node = {.op = "EmbedLayerNormalization",
                .inputs = {codes(DType::i32, {2, 2}, ids), Tensor(), reals({4, 3}, words),
                           reals({3, 3}, positions), Tensor(), g, b, Tensor(),
                           codes(DType::i32, {2, 2}, {0, 1, 0, 1})},
                .expected = {reals(shape, normalized(of_first_segment, gamma, beta, true, 1e-12)),
                             i32({2}, {0, 0})},
                .domain = kMicrosoft},
       .constant = {false, false, true, true, false, true, true, false, false}});
}

// The same tables as codes: 2 bytes for each word and position.
void add_quantized_embeddings(std::vector<ExpansionCase>& cases) {
  const auto words = some_codes(6, 11, 0, 255), positions = some_codes(6, 12, 0, 255),
             gamma = some_codes(3, 13, 0, 255), beta = some_codes(3, 14, 0, 255);
  const auto real = [](const std::vector<int32_t>& q, size_t i, double scale, int zero) {
    return f(scale) * (q[i] - zero);
  };
  const std::vector<int32_t> ids = {1, 0};
  std::vector<double> sum, g, b;
  for (size_t token = 0; token < 2; ++token) {
    for (size_t i = 0; i < kWidth; ++i) {
      sum.push_back(real(words, static_cast<size_t>(ids[token]) * kWidth + i, 0.02, 128) +
                    real(positions, token * kWidth + i, 0.01, 100));
    }
  }
  for (size_t i = 0; i < kWidth; ++i) {
    g.push_back(real(gamma, i, 0.03, 10));
    b.push_back(real(beta, i, 0.005, 20));
  }
  const auto scale = [](double value) { return reals({}, {value}); };
  const auto zero = [](int value) { return codes(DType::u8, {}, {value}); };
  const Tensor none;
  ExpansionCase entry;
  entry.node = {
      .op = "QEmbedLayerNormalization",
      .inputs = {codes(DType::i32, {1, 2}, ids), none, codes(DType::u8, {2, 3}, words),
                 codes(DType::u8, {2, 3}, positions), none, codes(DType::u8, {3}, gamma),
                 codes(DType::u8, {3}, beta), none, scale(0.02), scale(0.01), none, scale(0.03),
                 scale(0.005), zero(128), zero(100), none, zero(10), zero(20)},
      .expected = {reals({1, 2, 3}, normalized(sum, g, b, true, 1e-12))},
      .domain = kMicrosoft};
  entry.constant.assign(entry.node.inputs.size(), true);
  entry.constant[0] = false;
  for (size_t i = 0; i < entry.constant.size(); ++i) {
    if (entry.node.inputs[i].empty()) entry.constant[i] = false;
  }
  cases.push_back(entry);
}

}  // namespace

void add_normalization_cases(std::vector<ExpansionCase>& cases) {
  add_skip(cases);
  add_embeddings(cases);
  add_quantized_embeddings(cases);
}

}  // namespace nibble::testing
