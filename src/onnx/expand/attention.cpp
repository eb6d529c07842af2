// Attention with its projections, masks and caches becomes products of matrices and a softmax,
// which can be quantized one by one.
//
// Before: %y = MultiHeadAttention(%q[B,S,H], %k[B,T,H], %v[B,T,H]) {num_heads=N}
// After:  %qh, %kh, %vh = heads of each: Reshape to [B,S,N,H/N], Transpose to [B,N,S,H/N]
//         %p = Softmax(MatMul(%qh, %kh') * scale + masks)
//         %y = heads of MatMul(%p, %vh) side by side again
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

constexpr float kMasked = -10000;  // what ONNX Runtime adds where the node does not say

// [B,S,N*D] -> [B,N,S,D]
ValueId heads_of(Expansion& e, ValueId value, int64_t heads) {
  return transposed(e, reshaped(e, value, {0, 0, heads, -1}), {0, 2, 1, 3});
}
// [B,N,S,D] -> [B,S,N*D]
ValueId side_by_side(Expansion& e, ValueId value) {
  return reshaped(e, transposed(e, value, {0, 2, 1, 3}), {0, 0, -1});
}

ValueId scalar_of(Expansion& e, ValueId list) {
  return e.op("Reshape", {list, e.constant(Tensor(DType::i64, {0}))});
}
// 0, 1, ... below the number, as i64[n].
ValueId counted(Expansion& e, ValueId count) {
  const ValueId zero = e.constant(Tensor::scalar<int64_t>(0));
  return e.op("Range", {zero, scalar_of(e, count), e.constant(Tensor::scalar<int64_t>(1))});
}

// What is added to scores: `low` where `hidden` is true, else 0.
ValueId added_where(Expansion& e, ValueId hidden, ValueId like, double low) {
  return e.op("Where", {hidden, e.scalar_like(like, low), e.scalar_like(like, 0)});
}

struct Heads {
  ValueId q, k, v;  // [B,N,S,D], [B,N,T,D], [B,N,T,Dv]
  ValueId past;     // extent of the cache in front of k, i64[1]; absent: there is none
};

ValueId concat(Expansion& e, ValueId a, ValueId b, int64_t axis) {
  return e.op("Concat", {a, b}, attributes_of({{"axis", axis}}));
}

// Keys behind the query's own position: [S,T].
ValueId future(Expansion& e, const Heads& heads) {
  const ValueId keys = counted(e, extent(e, heads.k, 2));
  ValueId queries = counted(e, extent(e, heads.q, 2));
  if (heads.past) queries = e.op("Add", {queries, heads.past});
  return e.op("Greater", {keys, unsqueezed(e, queries, {1})});
}

// A mask of 0 and 1 becomes what is added to scores [B,N,S,T]; lengths of [B] do, too.
ValueId padding_mask(Expansion& e, ValueId mask, const Heads& heads, double low) {
  const int rank = e.rank(mask);
  if (rank == 1) {
    const Shape& shape = e.type(mask).shape;
    const int64_t batch = e.type(heads.q).shape.has_rank() ? e.type(heads.q).shape[0] : -1;
    if (shape[0] >= 0 && batch >= 0 && shape[0] != batch) {
      e.refuse("its mask holds starts and ends of sequences");
    }
    const ValueId keys = counted(e, extent(e, heads.k, 2));
    const ValueId lengths = unsqueezed(e, cast(e, mask, DType::i64), {1});
    const ValueId hidden = e.op("Not", {e.op("Less", {keys, lengths})});  // [B,T]
    return added_where(e, unsqueezed(e, hidden, {1, 2}), heads.q, low);
  }
  if (rank != 2 && rank != 3) {
    e.refuse(rank < 0 ? "how many axes its mask has is not known"
                      : fmt::format("a mask of {} axes is not supported", rank));
  }
  const ValueId shown = cast(e, mask, DType::boolean);
  const ValueId hidden = unsqueezed(
      e, e.op("Not", {shown}), rank == 2 ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1});
  return added_where(e, hidden, heads.q, low);
}

// 1 / sqrt(D), unless the node says otherwise.
ValueId scale_of(Expansion& e, ValueId q) {
  const float given = e.node.attributes.real("scale", 0);
  if (given != 0) return e.scalar_like(q, given);
  const Shape& shape = e.type(q).shape;
  const int64_t width = shape.has_rank() ? shape[shape.rank() - 1] : -1;
  if (width > 0) return e.scalar_like(q, 1 / std::sqrt(static_cast<double>(width)));
  const DType dtype = e.type(q).dtype == DType::undefined ? DType::f32 : e.type(q).dtype;
  const ValueId root = e.op("Sqrt", {cast(e, scalar_of(e, extent(e, q, -1)), dtype)});
  return e.op("Div", {e.scalar_like(q, 1), root});
}

// Softmax(Q K' scale + masks) V -> [B,N,S,Dv]
ValueId attended(Expansion& e, const Heads& heads, std::initializer_list<ValueId> masks) {
  const ValueId keys = transposed(e, heads.k, {0, 1, 3, 2});
  ValueId scores = e.op("Mul", {e.op("MatMul", {heads.q, keys}), scale_of(e, heads.q)});
  for (ValueId mask : masks) scores = sum(e, {scores, mask});
  const ValueId shares = e.op("Softmax", {scores}, attributes_of({{"axis", int64_t{-1}}}));
  return e.op("MatMul", {shares, heads.v});
}

ValueId causal_mask(Expansion& e, const Heads& heads) {
  if (e.node.attributes.integer("unidirectional", 0) == 0) return {};
  return added_where(e, future(e, heads), heads.q, std::numeric_limits<float>::lowest());
}

// One of two caches that are one value: [2,B,N,P,D] -> [B,N,P,D].
ValueId one_of(Expansion& e, ValueId past, int64_t which) {
  return e.op("Gather", {past, e.constant(Tensor::scalar<int64_t>(which))},
              attributes_of({{"axis", int64_t{0}}}));
}

// The extents of Q, K and V side by side, whose sum `width` may be -1.
std::vector<int64_t> hidden_sizes(Expansion& e, int64_t width) {
  std::vector<int64_t> sizes = e.node.attributes.integers("qkv_hidden_sizes");
  if (sizes.empty() && width > 0 && width % 3 == 0) sizes.assign(3, width / 3);
  if (sizes.size() != 3) e.refuse("the widths of queries, keys and values are not known");
  return sizes;
}

struct Projected {
  ValueId value;  // [B,S,3 H]
  ValueId mask, past, bias;
  int64_t width;
};

void attend(Expansion& e, const Projected& inputs) {
  if (e.node.attributes.integer("do_rotary", 0) != 0 ||
      e.node.attributes.integer("past_present_share_buffer", 0) != 0) {
    e.refuse("rotation, or a cache written in place, is not supported here");
  }
  const int64_t count = e.node.attributes.required_integer("num_heads");
  const auto parts = split(e, inputs.value, 2, hidden_sizes(e, inputs.width));
  Heads heads{.q = heads_of(e, parts[0], count),
              .k = heads_of(e, parts[1], count),
              .v = heads_of(e, parts[2], count),
              .past = {}};
  if (inputs.past) {
    heads.past = extent(e, inputs.past, 3);
    heads.k = concat(e, one_of(e, inputs.past, 0), heads.k, 2);
    heads.v = concat(e, one_of(e, inputs.past, 1), heads.v, 2);
  }
  if (e.wants(1)) {
    e.give(1, concat(e, unsqueezed(e, heads.k, {0}), unsqueezed(e, heads.v, {0}), 0));
  }
  ValueId mask;
  if (inputs.mask) {
    mask =
        padding_mask(e, inputs.mask, heads, e.node.attributes.real("mask_filter_value", kMasked));
  }
  e.give(0, side_by_side(e, attended(e, heads, {mask, inputs.bias, causal_mask(e, heads)})));
}

int64_t last_extent(Expansion& e, ValueId value) {
  const Shape& shape = e.type(value).shape;
  return shape.has_rank() && shape.rank() > 0 ? shape[shape.rank() - 1] : -1;
}

// input, weights, bias, mask_index, past, attention_bias, past_sequence_length
bool attention(Expansion& e) {
  const ValueId all = sum(e, {e.op("MatMul", {e.in(0), e.in(1)}), e.in(2)});
  attend(e, {.value = all,
             .mask = e.in(3),
             .past = e.in(4),
             .bias = e.in(5),
             .width = last_extent(e, e.in(1))});
  return true;
}

// input, weight, bias, input_scale, weight_scale, mask_index, input_zero_point, weight_zero_point,
// past
bool quantized_attention(Expansion& e) {
  const Tensor& scale = e.required(e.in(4), "scale of the weight");
  const auto axis = scale.elements() == 1 ? std::nullopt : std::optional(int64_t{1});
  const ValueId x = dequantized(e, {0, 3, 6}), w = dequantized(e, {1, 4, 7}, axis);
  attend(e, {.value = sum(e, {e.op("MatMul", {x, w}), e.in(2)}),
             .mask = e.in(5),
             .past = e.in(8),
             .bias = {},
             .width = last_extent(e, e.in(1))});
  return true;
}

// query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value,
// past_sequence_length, cache_indirection -> output, present_key, present_value, scores
bool multi_head_attention(Expansion& e) {
  if (e.has(8) || e.has(9) || e.wants(3)) e.refuse("its caches of several beams are not supported");
  const int64_t count = e.node.attributes.required_integer("num_heads");
  std::array<ValueId, 3> parts = {e.in(0), e.in(1), e.in(2)};
  if (!parts[1] || !parts[2])
    e.refuse("queries, keys and values packed into one are not supported");
  if (e.has(3)) {
    const std::array<int64_t, 3> widths = {last_extent(e, parts[0]), last_extent(e, parts[1]),
                                           last_extent(e, parts[2])};
    const int64_t all = last_extent(e, e.in(3));
    std::vector<int64_t> sizes(widths.begin(), widths.end());
    if (std::ranges::any_of(sizes, [](int64_t size) { return size < 0; })) {
      if (all < 0 || all % 3 != 0) e.refuse("the parts of its bias are not known");
      sizes.assign(3, all / 3);
    }
    const auto biases = split(e, e.in(3), 0, sizes);
    for (size_t i = 0; i < 3; ++i) parts[i] = e.op("Add", {parts[i], biases[i]});
  }
  const auto in_heads = [&](ValueId value) {
    return e.rank(value) == 4 ? value : heads_of(e, value, count);
  };
  Heads heads{
      .q = in_heads(parts[0]), .k = in_heads(parts[1]), .v = in_heads(parts[2]), .past = {}};
  if (e.has(6)) {
    heads.past = extent(e, e.in(6), 2);
    heads.k = concat(e, e.in(6), heads.k, 2);
    heads.v = concat(e, e.in(7), heads.v, 2);
  }
  e.give(1, heads.k);
  e.give(2, heads.v);
  ValueId mask;
  if (e.has(4)) {
    mask = padding_mask(e, e.in(4), heads, e.node.attributes.real("mask_filter_value", kMasked));
  }
  e.give(0, side_by_side(e, attended(e, heads, {mask, e.in(5), causal_mask(e, heads)})));
  return true;
}

// ---- Rotation ----

struct Rotation {
  ValueId positions, cosines, sines;  // [B,S], [positions, D/2]
  bool interleaved = false;
  int64_t width = 0;  // of each head what is turned; 0: all
};

// [B,N,S,D] -> [B,N,S,D]
ValueId rotated(Expansion& e, ValueId value, const Rotation& rotation) {
  Attributes attributes = attributes_of({{"interleaved", int64_t{rotation.interleaved}}});
  if (rotation.width > 0) attributes.set("rotary_embedding_dim", rotation.width);
  return e.op("RotaryEmbedding", {value, rotation.cosines, rotation.sines, rotation.positions},
              attributes);
}

// input, position_ids, cos_cache, sin_cache
bool rotary_embedding(Expansion& e) {
  const Attributes& attributes = e.node.attributes;
  if (attributes.integer("is_packed_batching", 0) != 0 || attributes.real("scale", 1) != 1) {
    e.refuse("packed batches and scales are not supported");
  }
  const int rank = e.rank(e.in(0));
  if (rank != 3 && rank != 4) e.refuse("how many axes its input has is not known");
  Rotation rotation{.positions = e.in(1),
                    .cosines = e.in(2),
                    .sines = e.in(3),
                    .interleaved = attributes.integer("interleaved", 0) != 0,
                    .width = attributes.integer("rotary_embedding_dim", 0)};
  ValueId value = e.in(0);
  if (rank == 3) {
    const int64_t heads = attributes.integer("num_heads", 0);
    const int64_t half = last_extent(e, e.in(2));
    if (heads == 0 && half < 0) e.refuse("the width of a head is not known");
    value =
        transposed(e, reshaped(e, value, {0, 0, heads > 0 ? heads : -1, heads > 0 ? -1 : 2 * half}),
                   {0, 2, 1, 3});
  }
  if (e.rank(rotation.positions) == 1) {  // where all sequences begin
    const ValueId steps = counted(e, extent(e, value, 2));
    const ValueId row = unsqueezed(e, e.op("Add", {steps, rotation.positions}), {0});
    const ValueId shape = concat(e, extent(e, value, 0), extent(e, value, 2), 0);
    rotation.positions = e.op("Expand", {row, shape});
  }
  const ValueId turned = rotated(e, value, rotation);
  e.give(0, rank == 3 ? side_by_side(e, turned) : turned);
  return true;
}

// ---- Several queries for each key ----

void require_plain(Expansion& e) {
  const Attributes& attributes = e.node.attributes;
  for (size_t input = 11; input <= 16; ++input) {
    if (e.has(input)) e.refuse("sinks, quantized caches and norms of heads are not supported");
  }
  if (e.wants(3) || attributes.integer("smooth_softmax", 0) > 0 ||
      attributes.integer("sliding_window_cache", 0) != 0 ||
      attributes.integer("kv_cache_bit_width", 0) != 0) {
    e.refuse("its scores, smooth softmax and quantized or sliding caches are not supported");
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

// query, key, value, past_key, past_value, seqlens_k, total_sequence_length, cos_cache, sin_cache,
// position_ids, attention_bias -> output, present_key, present_value. The cache grows: it holds as
// many tokens as there were before.
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
  const ValueId queries = e.op("Reshape", {heads.q, shape});
  const ValueId keys = unsqueezed(e, transposed(e, heads.k, {0, 1, 3, 2}), {2});
  ValueId scores = e.op("Mul", {e.op("MatMul", {queries, keys}), scale_of(e, heads.q)});
  const float cap = attributes.real("softcap", 0);
  if (cap > 0) {
    const ValueId limit = e.scalar_like(scores, cap);
    scores = e.op("Mul", {e.op("Tanh", {e.op("Div", {scores, limit})}), limit});
  }
  if (e.has(10)) {
    if (e.rank(e.in(10)) != 4 || e.type(e.in(10)).shape[1] != 1) {
      e.refuse("a bias for each head is not supported");
    }
    scores = e.op("Add", {scores, unsqueezed(e, e.in(10), {1})});
  }
  const ValueId hidden = hidden_keys(e, heads, tokens);
  if (hidden) {
    scores = e.op("Add",
                  {scores, added_where(e, hidden, heads.q, std::numeric_limits<float>::lowest())});
  }
  const ValueId shares = e.op("Softmax", {scores}, attributes_of({{"axis", int64_t{-1}}}));
  const ValueId result = e.op("MatMul", {shares, unsqueezed(e, heads.v, {2})});  // [B,G,N/G,S,D]
  e.give(0, reshaped(e, transposed(e, result, {0, 3, 1, 2, 4}), {0, 0, -1}));
  return true;
}

constexpr std::string_view kParts = "MatMul, Reshape, Transpose, Softmax, masks";

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "Attention", attention, kParts},
    ExpansionRow{kMicrosoft, "GroupQueryAttention", group_query_attention, kParts},
    ExpansionRow{kMicrosoft, "MultiHeadAttention", multi_head_attention, kParts},
    ExpansionRow{kMicrosoft, "QAttention", quantized_attention, kParts},
    ExpansionRow{kMicrosoft, "RotaryEmbedding", rotary_embedding, "RotaryEmbedding"},
};

}  // namespace

std::span<const ExpansionRow> attention_expansions() { return kRows; }

}  // namespace nibble
