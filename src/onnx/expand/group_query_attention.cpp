// GroupQueryAttention: several queries for each key.
#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "onnx/expand/attention.h"

namespace nibble {
namespace {

void require_plain(Expansion& e) {
  const Attributes& attributes = e.node.attributes;
  for (size_t input = 12; input <= 16; ++input) {
    if (e.has(input)) e.refuse("quantized caches and norms of heads are not supported");
  }
  if (e.wants(3) || attributes.integer("sliding_window_cache", 0) != 0 ||
      attributes.integer("kv_cache_bit_width", 0) != 0) {
    e.refuse("its scores, and quantized or sliding caches, are not supported");
  }
}

// What no query sees: [B,1,1,S,T], behind it, outside its window, or a part of the cache that its
// sequence has not filled. `before`: how many tokens each sequence had, [B].
ValueId hidden_keys(Expansion& e, const Heads& heads, ValueId before) {
  const ValueId keys = counted(e, extent(e, heads.k, 2));
  ValueId queries = counted(e, extent(e, heads.q, 2));
  if (heads.past) queries = e.op("Add", {queries, heads.past});
  queries = unsqueezed(e, queries, {1});
  ValueId hidden;
  if (e.node.attributes.integer("causal", 1) != 0) hidden = e.op("Greater", {keys, queries});
  const auto join = [&](ValueId more) { hidden = hidden ? e.op("Or", {hidden, more}) : more; };
  const int64_t window = e.node.attributes.integer("local_window_size", -1);
  if (window >= 0) {
    const ValueId first = e.op("Sub", {queries, e.constant(Tensor::scalar<int64_t>(window))});
    join(e.op("Not", {e.op("Greater", {keys, first})}));
  }
  if (heads.past) {
    const ValueId in_cache = e.op("Less", {keys, heads.past});
    const ValueId filled = e.op("Less", {keys, unsqueezed(e, before, {1, 2, 3, 4})});
    join(e.op("And", {in_cache, e.op("Not", {filled})}));
  }
  return hidden;
}

// Softmax along the keys. With a sink, one more key without a value takes its share: of a score for
// each head (head_sink), or of score 0 (smooth_softmax).
ValueId shares_of(Expansion& e, ValueId scores, const Heads& heads, int64_t count, int64_t groups) {
  const auto softmax = [&](ValueId of) {
    return e.op("Softmax", {of}, attributes_of({{"axis", int64_t{-1}}}));
  };
  ValueId sink;
  if (e.has(11)) {
    sink = reshaped(e, e.in(11), {1, groups, count / groups, 1, 1});
  } else if (e.node.attributes.integer("smooth_softmax", 0) > 0) {
    sink = e.scalar_like(heads.q, 0);
  } else {
    return softmax(scores);
  }
  const ValueId batch = extent(e, heads.q, 0), steps = extent(e, heads.q, 2);
  const ValueId shape =
      concat(e, concat(e, concat(e, batch, e.integers({groups, count / groups}), 0), steps, 0),
             e.integers({1}), 0);
  const ValueId shares = softmax(concat(e, scores, e.op("Expand", {sink, shape}), 4));
  return sliced(e, shares, 4, e.integers({0}), extent(e, heads.k, 2));
}

}  // namespace

// query, key, value, past_key, past_value, seqlens_k, total_sequence_length, cos_cache, sin_cache,
// position_ids, attention_bias, head_sink -> output, present_key, present_value. The cache grows:
// it holds as many tokens as there were before.
bool group_query_attention(Expansion& e) {
  require_plain(e);
  const Attributes& attributes = e.node.attributes;
  const int64_t count = attributes.required_integer("num_heads");
  const int64_t groups = attributes.required_integer("kv_num_heads");
  if (groups < 1 || count < 1 || count > INT32_MAX || count % groups != 0) {
    e.refuse(fmt::format("{} heads do not divide into {} groups", count, groups));
  }
  std::array<ValueId, 3> parts = {e.in(0), e.in(1), e.in(2)};
  if (!parts[1]) {
    const int64_t all = last_extent(e, e.in(0));
    if (all < 0 || all % (count + 2 * groups) != 0) e.refuse("the width of a head is not known");
    const int64_t width = all / (count + 2 * groups);
    const auto packed = split(e, e.in(0), 2, {count * width, groups * width, groups * width});
    std::ranges::copy(packed, parts.begin());
  }
  Heads heads{.q = heads_of(e, parts[0], count),
              .k = heads_of(e, parts[1], groups),
              .v = heads_of(e, parts[2], groups),
              .past = {}};
  // Tokens before these, for each sequence: seqlens_k + 1 - S, and not less than 0.
  const ValueId steps = extent(e, heads.q, 2);
  const ValueId last = e.op("Sub", {cast(e, e.in(5), DType::i64), steps});
  const ValueId before =
      e.op("Relu", {cast(e, e.op("Add", {reshaped(e, last, {-1}), e.integers({1})}), DType::f32)});
  const ValueId tokens = cast(e, before, DType::i64);
  if (attributes.integer("do_rotary", 0) != 0) {
    ValueId positions = e.in(9);
    if (!positions) {
      positions = e.op("Add", {unsqueezed(e, tokens, {1}), counted(e, steps)});
    }
    const Rotation rotation{.positions = positions,
                            .cosines = e.in(7),
                            .sines = e.in(8),
                            .interleaved = attributes.integer("rotary_interleaved", 0) != 0,
                            .width = 0};
    const int64_t half = last_extent(e, e.in(7)), width = last_extent(e, heads.q);
    if (half < 0 || width < 0) e.refuse("the width of a head is not known");
    Rotation of_head = rotation;
    if (2 * half != width) of_head.width = 2 * half;
    heads.q = rotated(e, heads.q, of_head);
    heads.k = rotated(e, heads.k, of_head);
  }
  if (e.has(3)) {
    heads.past = extent(e, e.in(3), 2);
    heads.k = concat(e, e.in(3), heads.k, 2);
    heads.v = concat(e, e.in(4), heads.v, 2);
  }
  e.give(1, heads.k);
  e.give(2, heads.v);
  // The queries of one key beside each other: [B,G,N/G,S,D] x [B,G,1,D,T].
  const ValueId shape =
      concat(e, concat(e, e.integers({0, groups, count / groups}), steps, 0), e.integers({-1}), 0);
  const auto grouped = [&](ValueId value) { return e.op("Reshape", {value, shape}); };
  const ValueId queries = grouped(heads.q);
  const ValueId keys = unsqueezed(e, transposed(e, heads.k, {0, 1, 3, 2}), {2});
  ValueId scores = e.op("Mul", {e.op("MatMul", {queries, keys}), scale_of(e, heads.q)});
  const float cap = attributes.real("softcap", 0);
  if (cap > 0) {
    const ValueId limit = e.scalar_like(scores, cap);
    scores = e.op("Mul", {e.op("Tanh", {e.op("Div", {scores, limit})}), limit});
  }
  if (e.has(10)) {
    const ValueId bias = e.in(10);  // [1 or B, 1 or N, S, T]
    const int64_t of = e.rank(bias) == 4 ? e.type(bias).shape[1] : -1;
    if (of != 1 && of != count) e.refuse("of how many heads its bias is, is not known");
    scores = e.op("Add", {scores, of == 1 ? unsqueezed(e, bias, {1}) : grouped(bias)});
  }
  const ValueId hidden = hidden_keys(e, heads, tokens);
  if (hidden) {
    scores = e.op("Add",
                  {scores, added_where(e, hidden, heads.q, std::numeric_limits<float>::lowest())});
  }
  const ValueId shares = shares_of(e, scores, heads, count, groups);
  const ValueId result = e.op("MatMul", {shares, unsqueezed(e, heads.v, {2})});  // [B,G,N/G,S,D]
  e.give(0, reshaped(e, transposed(e, result, {0, 3, 1, 2, 4}), {0, 0, -1}));
  return true;
}

}  // namespace nibble
