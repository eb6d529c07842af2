// Normalizations with what stands before them: a sum, or the embeddings of a transformer.
#include <array>

#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

constexpr float kEpsilon = 1e-12F;  // what ONNX Runtime takes where the node does not say

Attributes over_last_axis(const Node& node, float epsilon = kEpsilon) {
  return attributes_of(
      {{"axis", int64_t{-1}}, {"epsilon", node.attributes.real("epsilon", epsilon)}});
}

// input, skip, gamma, beta, bias -> output, mean, 1 / deviation, input + skip + bias
bool skip_layer_normalization(Expansion& e) {
  const ValueId total = sum(e, {e.in(0), e.in(1), e.in(4)});
  const size_t count = e.wants(2) ? 3 : e.wants(1) ? 2 : 1;
  const auto results =
      e.ops("LayerNormalization", {total, e.in(2), e.in(3)}, count, over_last_axis(e.node));
  e.give_all(results);
  e.give(3, total);
  return true;
}

void no_statistics(Expansion& e, size_t first, size_t last) {
  for (size_t i = first; i <= last; ++i) {
    if (e.wants(i)) e.refuse("its statistics are read, which only training needs");
  }
}

// input, skip, gamma, bias
bool skip_simplified(Expansion& e) {
  no_statistics(e, 1, 2);
  const ValueId total = sum(e, {e.in(0), e.in(1), e.in(3)});
  e.give(0, e.op("RMSNormalization", {total, e.in(2)}, over_last_axis(e.node)));
  e.give(3, total);
  return true;
}

// X, scale. ONNX Runtime registered it in ONNX's own domain.
bool simplified(Expansion& e) {
  no_statistics(e, 1, 1);
  Attributes attributes = over_last_axis(e.node, 1e-5F);
  attributes.set("axis", e.node.attributes.integer("axis", -1));
  e.give(0, e.op("RMSNormalization", {e.in(0), e.in(1)}, attributes));
  return true;
}

struct Embedding {
  ValueId words, positions, segments;  // tables; segments may be absent
  ValueId gamma, beta;
  ValueId mask, position_ids;  // may be absent
};

// Ids [B, S] and tables [vocabulary, H] -> normalized sum [B, S, H], number of tokens [B], sum.
void embed(Expansion& e, const Embedding& inputs, bool has_sum) {
  const Attributes rows = attributes_of({{"axis", int64_t{0}}});
  const ValueId ids = e.in(0);
  const ValueId words = e.op("Gather", {inputs.words, ids}, rows);
  const ValueId positions =
      inputs.position_ids ? e.op("Gather", {inputs.positions, inputs.position_ids}, rows)
                          : sliced(e, inputs.positions, 0, e.integers({0}), extent(e, ids, 1));
  ValueId segments;
  if (inputs.segments) {
    // Without ids, all tokens are of segment 0.
    segments = e.has(1) ? e.op("Gather", {inputs.segments, e.in(1)}, rows)
                        : sliced(e, inputs.segments, 0, e.integers({0}), e.integers({1}));
  }
  const ValueId total = sum(e, {words, positions, segments});
  e.give(0, e.op("LayerNormalization", {total, inputs.gamma, inputs.beta}, over_last_axis(e.node)));
  if (e.wants(1)) {
    ValueId counted =
        inputs.mask
            ? cast(e, inputs.mask, DType::i32)
            : e.op("Mul", {cast(e, ids, DType::i32), e.constant(Tensor::scalar<int32_t>(0))});
    e.give(1, reduced(e, "ReduceSum", counted, {1}, false));
  }
  if (has_sum) e.give(2, total);
}

// input_ids, segment_ids, word, position, segment, gamma, beta, mask, position_ids
bool embed_layer_normalization(Expansion& e) {
  embed(e,
        {.words = e.in(2),
         .positions = e.in(3),
         .segments = e.in(4),
         .gamma = e.in(5),
         .beta = e.in(6),
         .mask = e.in(7),
         .position_ids = e.in(8)},
        true);
  return true;
}

// The same with codes: 2 to 6 as above, 7 the mask, from 8 on the scales, from 13 on zero points.
bool quantized_embed_layer_normalization(Expansion& e) {
  const auto table = [&](size_t i) {
    return e.has(i) ? dequantized(e, {i, i + 6, i + 11}) : ValueId{};
  };
  Embedding inputs{.words = table(2), .positions = table(3)};
  inputs.segments = table(4);
  inputs.gamma = table(5);
  inputs.beta = table(6);
  inputs.mask = e.in(7);
  embed(e, inputs, false);
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "EmbedLayerNormalization", embed_layer_normalization,
                 "Gather, Add, LayerNormalization"},
    ExpansionRow{kMicrosoft, "QEmbedLayerNormalization", quantized_embed_layer_normalization,
                 "Gather, Add, LayerNormalization"},
    ExpansionRow{"", "SimplifiedLayerNormalization", simplified, "RMSNormalization"},
    ExpansionRow{kMicrosoft, "SimplifiedLayerNormalization", simplified, "RMSNormalization"},
    ExpansionRow{kMicrosoft, "SkipLayerNormalization", skip_layer_normalization,
                 "Add, LayerNormalization"},
    ExpansionRow{kMicrosoft, "SkipSimplifiedLayerNormalization", skip_simplified,
                 "Add, RMSNormalization"},
};

}  // namespace

std::span<const ExpansionRow> normalization_expansions() { return kRows; }

}  // namespace nibble
