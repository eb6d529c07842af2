// nibble::HeadAttention, which compile() makes of products, scale, mask and softmax: what its
// attributes say.
#pragma once

#include "kernels/attention.h"
#include "nibble/graph.h"

namespace nibble {

/// Inputs: queries, keys, values, in whatever order their elements lie, and a mask if there is one,
/// to be broadcast over [batch, heads, queries, keys].
struct HeadAttention {
  AttentionShape shape;  // mask: from its shape
  float scale = 1;       // of the scores, before the mask
  QuantParams p;         // the grid of the probabilities
};

void write_attributes(const HeadAttention& attention, Node& node);
HeadAttention read_attributes(const Node& node);
/// Where the rows of a mask lie; nullopt if it does not fit, or is broadcast over the keys.
std::optional<HeadRows> mask_rows(const AttentionShape& shape, const Shape& mask);

}  // namespace nibble
