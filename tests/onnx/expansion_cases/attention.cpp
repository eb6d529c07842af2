// Attention by its definition: for each query the softmax of its products with the keys weighs the
// values.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

struct Size {
  size_t batch, heads, queries, keys, width;
};

// Of batch b, head h, query s and key t: what is added to the score; -infinity hides the key.
using Added = std::function<double(size_t b, size_t h, size_t s, size_t t)>;
constexpr double kHidden = -INFINITY;

double zero(size_t, size_t, size_t, size_t) { return 0; }

// q [B,S,N,D], k and v [B,T,groups,D] -> [B,S,N,D]
std::vector<double> attend(const Size& size, size_t groups, const std::vector<double>& q,
                           const std::vector<double>& k, const std::vector<double>& v,
                           const Added& added, double cap = 0,
                           const std::vector<double>& sinks = {}) {
  const auto [batch, heads, queries, keys, width] = size;
  std::vector<double> y(batch * queries * heads * width);
  for (size_t b = 0; b < batch; ++b) {
    for (size_t h = 0; h < heads; ++h) {
      const size_t g = h / (heads / groups);
      for (size_t s = 0; s < queries; ++s) {
        std::vector<double> share(keys);
        double sum = sinks.empty() ? 0 : std::exp(sinks[h]);
        for (size_t t = 0; t < keys; ++t) {
          double score = 0;
          for (size_t d = 0; d < width; ++d) {
            score += q[((b * queries + s) * heads + h) * width + d] *
                     k[((b * keys + t) * groups + g) * width + d];
          }
          score /= std::sqrt(static_cast<double>(width));
          if (cap > 0) score = std::tanh(score / cap) * cap;
          share[t] = std::exp(score + added(b, h, s, t));
          sum += share[t];
        }
        for (size_t t = 0; t < keys; ++t) {
          for (size_t d = 0; d < width; ++d) {
            y[((b * queries + s) * heads + h) * width + d] +=
                share[t] / sum * v[((b * keys + t) * groups + g) * width + d];
          }
        }
      }
    }
  }
  return y;
}

// [B,T,N,D] -> [B,N,T,D], as caches lie.
std::vector<double> as_cache(const std::vector<double>& in, size_t batch, size_t tokens,
                             size_t heads, size_t width) {
  std::vector<double> out(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const size_t d = i % width, h = i / width % heads, t = i / width / heads % tokens,
                 b = i / width / heads / tokens;
    out[((b * heads + h) * tokens + t) * width + d] = in[i];
  }
  (void)batch;
  return out;
}

// Both of [B,.,row], one behind the other along the tokens.
std::vector<double> joined(const std::vector<double>& a, const std::vector<double>& b,
                           size_t batch) {
  std::vector<double> all;
  for (size_t i = 0; i < batch; ++i) {
    const auto part = [&](const std::vector<double>& v) {
      const auto size = static_cast<std::ptrdiff_t>(v.size() / batch);
      const auto begin = v.begin() + static_cast<std::ptrdiff_t>(i) * size;
      all.insert(all.end(), begin, begin + size);
    };
    part(a);
    part(b);
  }
  return all;
}

std::vector<double> plus_row(std::vector<double> values, const std::vector<double>& row) {
  for (size_t i = 0; i < values.size(); ++i) values[i] += row[i % row.size()];
  return values;
}

constexpr size_t kBatch = 2, kHeads = 2, kTokens = 3, kWidth = 4, kHidden8 = kHeads * kWidth;
constexpr Size kSize{kBatch, kHeads, kTokens, kTokens, kWidth};

ExpansionCase case_of(const char* op, std::vector<Tensor> inputs, std::vector<Tensor> expected,
                      std::vector<std::pair<std::string, Attribute>> attributes,
                      std::vector<bool> constant = {}) {
  return {.node = {.op = op,
                   .inputs = std::move(inputs),
                   .expected = std::move(expected),
                   .attributes = std::move(attributes),
                   .opset = 17,
                   .domain = kMicrosoft},
          .constant = std::move(constant),
          .tolerance = 2e-5};
}

// x [B,S,5] with one weight for queries, keys and values.
void add_attention(std::vector<ExpansionCase>& cases) {
  const auto x = numbers(kBatch * kTokens * 5, 1), w = numbers(5 * 3 * kHidden8, 2, -0.5, 0.5),
             bias = numbers(3 * kHidden8, 3);
  std::array<std::vector<double>, 3> parts;
  for (size_t row = 0; row < kBatch * kTokens; ++row) {
    for (size_t c = 0; c < 3 * kHidden8; ++c) {
      double sum = bias[c];
      for (size_t k = 0; k < 5; ++k) sum += x[row * 5 + k] * w[k * 3 * kHidden8 + c];
      parts[c / kHidden8].push_back(sum);
    }
  }
  const auto& [q, k, v] = parts;
  const Tensor input = reals({2, 3, 5}, x), weight = reals({5, 24}, w), b = reals({24}, bias), none;
  const Shape shape{2, 3, 8};
  const std::pair<std::string, Attribute> heads = {"num_heads", int64_t{2}};
  cases.push_back(case_of("Attention", {input, weight, b},
                          {reals(shape, attend(kSize, 2, q, k, v, zero))}, {heads},
                          {false, true, true}));
  const std::vector<int32_t> mask = {1, 1, 0, 1, 1, 1};
  const auto masked = attend(kSize, 2, q, k, v, [&](size_t n, size_t, size_t, size_t t) {
    return mask[n * 3 + t] != 0 ? 0 : kHidden;
  });
  cases.push_back(case_of("Attention", {input, weight, b, codes(DType::i32, {2, 3}, mask)},
                          {reals(shape, masked)}, {heads}, {false, true, true}));
  cases.push_back(case_of("Attention", {input, weight, b, i32({2}, {2, 3})}, {reals(shape, masked)},
                          {heads}, {false, true, true}));
  // Behind a cache of two tokens, each sees itself and what was before.
  const auto old_k = numbers(kBatch * 2 * kHidden8, 4), old_v = numbers(kBatch * 2 * kHidden8, 5);
  const auto all_k = joined(old_k, k, kBatch), all_v = joined(old_v, v, kBatch);
  const auto cache = [](const std::vector<double>& one, const std::vector<double>& two,
                        size_t tokens) {
    auto both = as_cache(one, kBatch, tokens, kHeads, kWidth);
    const auto second = as_cache(two, kBatch, tokens, kHeads, kWidth);
    both.insert(both.end(), second.begin(), second.end());
    return reals({2, 2, 2, static_cast<int64_t>(tokens), 4}, both);
  };
  cases.push_back(case_of("Attention", {input, weight, b, none, cache(old_k, old_v, 2)},
                          {reals(shape, attend({2, 2, 3, 5, 4}, 2, q, all_k, all_v,
                                               [](size_t, size_t, size_t s, size_t t) {
                                                 return t <= s + 2 ? 0 : kHidden;
                                               })),
                           cache(all_k, all_v, 5)},
                          {heads, {"unidirectional", int64_t{1}}}, {false, true, true}));
}

// The same from codes.
void add_quantized_attention(std::vector<ExpansionCase>& cases) {
  const auto x = some_codes(kBatch * kTokens * 5, 6, 0, 255), w = some_codes(5 * 24, 7, -127, 127);
  const auto bias = numbers(24, 8);
  std::array<std::vector<double>, 3> parts;
  for (size_t row = 0; row < kBatch * kTokens; ++row) {
    for (size_t c = 0; c < 24; ++c) {
      double sum = bias[c];
      for (size_t k = 0; k < 5; ++k) {
        sum += f(0.02) * (x[row * 5 + k] - 128) * f(0.004) * w[k * 24 + c];
      }
      parts[c / kHidden8].push_back(sum);
    }
  }
  cases.push_back(
      case_of("QAttention",
              {codes(DType::u8, {2, 3, 5}, x), codes(DType::i8, {5, 24}, w), reals({24}, bias),
               f32({}, {0.02F}), f32({}, {0.004F}), Tensor(), u8({}, {128}), i8({}, {0})},
              {reals({2, 3, 8}, attend(kSize, 2, parts[0], parts[1], parts[2], zero))},
              {{"num_heads", int64_t{2}}}, {false, true, true, true, true, false, true, true}));
}

void add_multi_head(std::vector<ExpansionCase>& cases) {
  const auto q = numbers(48, 9), k = numbers(48, 10), v = numbers(48, 11), bias = numbers(24, 12);
  const std::pair<std::string, Attribute> heads = {"num_heads", int64_t{2}};
  const Shape shape{2, 3, 8};
  const std::vector<Tensor> qkv = {reals(shape, q), reals(shape, k), reals(shape, v)};
  const auto part = [&](int i) {
    return std::vector<double>(bias.begin() + i * 8, bias.begin() + i * 8 + 8);
  };
  const auto with = [&](std::vector<Tensor> more) {
    std::vector<Tensor> inputs = qkv;
    inputs.insert(inputs.end(), more.begin(), more.end());
    return inputs;
  };
  const Tensor none;
  const auto added = numbers(2 * 3 * 3, 13);
  cases.push_back(case_of(
      "MultiHeadAttention",
      with({reals({24}, bias), i32({2, 3}, {1, 1, 0, 1, 1, 1}), reals({1, 2, 3, 3}, added)}),
      {reals(shape,
             attend(kSize, 2, plus_row(q, part(0)), plus_row(k, part(1)), plus_row(v, part(2)),
                    [&](size_t b, size_t h, size_t s, size_t t) {
                      return b == 0 && t == 2 ? kHidden : added[(h * 3 + s) * 3 + t];
                    }))},
      {heads}, {false, false, false, true}));
  const auto old_k = numbers(32, 14), old_v = numbers(32, 15);
  const auto all_k = joined(old_k, k, 2), all_v = joined(old_v, v, 2);
  const auto cache = [](const std::vector<double>& values, size_t tokens) {
    return reals({2, 2, static_cast<int64_t>(tokens), 4}, as_cache(values, 2, tokens, 2, 4));
  };
  cases.push_back(case_of(
      "MultiHeadAttention", with({none, none, none, cache(old_k, 2), cache(old_v, 2)}),
      {reals(shape,
             attend({2, 2, 3, 5, 4}, 2, q, all_k, all_v,
                    [](size_t, size_t, size_t s, size_t t) { return t <= s + 2 ? 0 : kHidden; })),
       cache(all_k, 5), cache(all_v, 5)},
      {heads, {"unidirectional", int64_t{1}}}));
  // Packed: what each head needs lies side by side, [B,S,N,3,D], or [B,S,N,2,D] without queries.
  const auto packed = [](std::initializer_list<const std::vector<double>*> parts) {
    std::vector<double> all;
    for (size_t row = 0; row < kBatch * kTokens * kHeads; ++row) {
      for (const std::vector<double>* one : parts) {
        const auto begin = one->begin() + static_cast<int>(row * kWidth);
        all.insert(all.end(), begin, begin + static_cast<int>(kWidth));
      }
    }
    return reals({2, 3, 2, static_cast<int64_t>(parts.size()), 4}, all);
  };
  const Tensor want = reals(shape, attend(kSize, 2, q, k, v, zero));
  cases.push_back(case_of("MultiHeadAttention", {packed({&q, &k, &v})}, {want}, {heads}));
  cases.push_back(case_of("MultiHeadAttention", {qkv[0], packed({&k, &v})}, {want}, {heads}));
  cases.push_back(case_of("MultiHeadAttention",
                          {packed({&q, &k, &v}), none, none, reals({24}, bias)},
                          {reals(shape, attend(kSize, 2, plus_row(q, part(0)), plus_row(k, part(1)),
                                               plus_row(v, part(2)), zero))},
                          {heads}, {false, false, false, true}));
}

// [B,S,N,D]: each pair (d, d + D/2) turned by the angle of its position; or neighbours,
// interleaved.
std::vector<double> turned(const std::vector<double>& in, size_t heads, size_t tokens,
                           const std::vector<double>& cosines, const std::vector<double>& sines,
                           const std::vector<size_t>& first, bool interleaved) {
  std::vector<double> out(in.size());
  const size_t half = kWidth / 2;
  for (size_t row = 0; row < in.size() / kWidth; ++row) {
    const size_t token = row / heads % tokens, b = row / heads / tokens;
    for (size_t d = 0; d < half; ++d) {
      const size_t angle = (first[b] + token) * half + d;
      const size_t one = row * kWidth + (interleaved ? 2 * d : d);
      const size_t two = row * kWidth + (interleaved ? 2 * d + 1 : d + half);
      out[one] = in[one] * cosines[angle] - in[two] * sines[angle];
      out[two] = in[one] * sines[angle] + in[two] * cosines[angle];
    }
  }
  return out;
}

void add_rotation(std::vector<ExpansionCase>& cases) {
  const auto x = numbers(48, 16), cosines = numbers(16, 17), sines = numbers(16, 18);
  const Tensor c = reals({8, 2}, cosines), s = reals({8, 2}, sines);
  cases.push_back(case_of("RotaryEmbedding",
                          {reals({2, 3, 8}, x), i64({2, 3}, {1, 2, 3, 4, 5, 6}), c, s},
                          {reals({2, 3, 8}, turned(x, 2, 3, cosines, sines, {1, 4}, false))}, {},
                          {false, false, true, true}));
  cases.push_back(case_of("RotaryEmbedding", {reals({2, 3, 8}, x), i64({1}, {2}), c, s},
                          {reals({2, 3, 8}, turned(x, 2, 3, cosines, sines, {2, 2}, true))},
                          {{"interleaved", int64_t{1}}, {"num_heads", int64_t{2}}},
                          {false, false, true, true}));
}

// Four heads of queries for two of keys: at first three tokens, then one behind three.
void add_groups(std::vector<ExpansionCase>& cases) {
  const auto cosines = numbers(16, 19), sines = numbers(16, 20);
  const Tensor c = reals({8, 2}, cosines), s = reals({8, 2}, sines), none;
  const std::vector<std::pair<std::string, Attribute>> heads = {{"num_heads", int64_t{4}},
                                                                {"kv_num_heads", int64_t{2}}};
  const auto cache = [](const std::vector<double>& values, size_t tokens) {
    return reals({2, 2, static_cast<int64_t>(tokens), 4}, as_cache(values, 2, tokens, 2, 4));
  };
  const auto q = numbers(96, 21), k = numbers(48, 22), v = numbers(48, 23);
  auto prompt = heads;
  prompt.emplace_back("do_rotary", int64_t{1});
  prompt.emplace_back("softcap", 1.5F);
  const auto q_turned = turned(q, 4, 3, cosines, sines, {0, 0}, false),
             k_turned = turned(k, 2, 3, cosines, sines, {0, 0}, false);
  cases.push_back(case_of(
      "GroupQueryAttention",
      {reals({2, 3, 16}, q), reals({2, 3, 8}, k), reals({2, 3, 8}, v), none, none, i32({2}, {2, 2}),
       i32({}, {3}), c, s},
      {reals({2, 3, 16},
             attend(
                 {2, 4, 3, 3, 4}, 2, q_turned, k_turned, v,
                 [](size_t, size_t, size_t i, size_t t) { return t <= i ? 0 : kHidden; }, f(1.5F))),
       cache(k_turned, 3), cache(v, 3)},
      prompt, {false, false, false, false, false, false, false, true, true}));
  // One token behind three, of which a query sees the last two; all packed into one input.
  const auto new_q = numbers(32, 24), new_k = numbers(16, 25), new_v = numbers(16, 26);
  std::vector<double> packed;
  for (size_t b = 0; b < 2; ++b) {
    for (const auto& [values, width] : {std::pair(&new_q, 16), {&new_k, 8}, {&new_v, 8}}) {
      const auto begin = values->begin() + static_cast<int>(b) * width;
      packed.insert(packed.end(), begin, begin + width);
    }
  }
  auto step = heads;
  step.emplace_back("local_window_size", int64_t{2});
  const auto all_k = joined(k, new_k, 2), all_v = joined(v, new_v, 2);
  cases.push_back(case_of("GroupQueryAttention",
                          {reals({2, 1, 32}, packed), none, none, cache(k, 3), cache(v, 3),
                           i32({2}, {3, 3}), i32({}, {4})},
                          {reals({2, 1, 16}, attend({2, 4, 1, 4, 4}, 2, new_q, all_k, all_v,
                                                    [](size_t, size_t, size_t, size_t t) {
                                                      return t > 1 ? 0 : kHidden;
                                                    })),
                           cache(all_k, 4), cache(all_v, 4)},
                          step));
  // A key without a value takes a share: of a score for each head, or of score 0.
  const auto sinks = numbers(4, 27), per_head = numbers(4 * 3 * 3, 28);
  const auto causal = [&](size_t, size_t h, size_t i, size_t t) {
    return t <= i ? per_head[(h * 3 + i) * 3 + t] : kHidden;
  };
  std::vector<Tensor> inputs = {reals({2, 3, 16}, q),
                                reals({2, 3, 8}, k),
                                reals({2, 3, 8}, v),
                                none,
                                none,
                                i32({2}, {2, 2}),
                                i32({}, {3}),
                                none,
                                none,
                                none,
                                reals({1, 4, 3, 3}, per_head),
                                reals({4}, sinks)};
  const Size size{2, 4, 3, 3, 4};
  cases.push_back(case_of(
      "GroupQueryAttention", inputs,
      {reals({2, 3, 16}, attend(size, 2, q, k, v, causal, 0, sinks)), cache(k, 3), cache(v, 3)},
      heads));
  inputs.pop_back();
  auto smooth = heads;
  smooth.emplace_back("smooth_softmax", int64_t{1});
  cases.push_back(case_of("GroupQueryAttention", inputs,
                          {reals({2, 3, 16}, attend(size, 2, q, k, v, causal, 0, {0, 0, 0, 0})),
                           cache(k, 3), cache(v, 3)},
                          smooth));
}

}  // namespace

void add_attention_cases(std::vector<ExpansionCase>& cases) {
  add_attention(cases);
  add_quantized_attention(cases);
  add_multi_head(cases);
  add_rotation(cases);
  add_groups(cases);
}

}  // namespace nibble::testing
