// Attention with its projections, masks and caches becomes products of matrices and a softmax,
// which can be quantized one by one.
//
// Before: %y = MultiHeadAttention(%q[B,S,H], %k[B,T,H], %v[B,T,H]) {num_heads=N}
// After:  %qh, %kh, %vh = heads of each: Reshape to [B,S,N,H/N], Transpose to [B,N,S,H/N]
//         %p = Softmax(MatMul(%qh, %kh') * scale + masks)
//         %y = heads of MatMul(%p, %vh) side by side again
#include "onnx/expand/attention.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "onnx/expand/families.h"

namespace nibble {
namespace {

constexpr float kMasked = -10000;  // what ONNX Runtime adds where the node does not say

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

// Queries, keys and values of their own, [B,S,H] each: packed, they lie side by side in each head,
// [B,S,N,3,D] all of them, or [B,S,N,2,D] the last two.
std::array<ValueId, 3> unpacked(Expansion& e) {
  std::array<ValueId, 3> parts = {e.in(0), e.in(1), e.in(2)};
  if (parts[1] && parts[2]) return parts;
  const ValueId packed = parts[1] ? parts[1] : parts[0];
  const size_t count = parts[1] ? 2 : 3;
  const int64_t extent = e.rank(packed) == 5 ? e.type(packed).shape[3] : -1;
  if (extent >= 0 ? extent != static_cast<int64_t>(count) : e.rank(packed) >= 0) {
    e.refuse(
        fmt::format("it has no {}, and what is packed is not [batch, tokens, heads, {}, width]",
                    count == 2 ? "values" : "keys and values", count));
  }
  for (size_t i = 0; i < count; ++i) {
    const ValueId which = e.constant(Tensor::scalar(static_cast<int64_t>(i)));
    const ValueId one = e.op("Gather", {packed, which}, attributes_of({{"axis", int64_t{3}}}));
    parts[3 - count + i] = reshaped(e, one, {0, 0, -1});
  }
  return parts;
}

// query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value,
// past_sequence_length, cache_indirection -> output, present_key, present_value, scores
bool multi_head_attention(Expansion& e) {
  if (e.has(8) || e.has(9) || e.wants(3)) e.refuse("its caches of several beams are not supported");
  const int64_t count = e.node.attributes.required_integer("num_heads");
  std::array<ValueId, 3> parts = unpacked(e);
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
