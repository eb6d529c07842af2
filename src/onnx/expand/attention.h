// What the operators of attention have in common.
#pragma once

#include "onnx/expand/support.h"

namespace nibble {

struct Heads {
  ValueId q, k, v;  // [B,N,S,D], [B,N,T,D], [B,N,T,Dv]
  ValueId past;     // extent of the cache in front of k, i64[1]; absent: there is none
};

/// [B,S,N*D] -> [B,N,S,D]
ValueId heads_of(Expansion& e, ValueId value, int64_t heads);
/// [B,N,S,D] -> [B,S,N*D]
ValueId side_by_side(Expansion& e, ValueId value);
/// 0, 1, ... below the number, as i64[n].
ValueId counted(Expansion& e, ValueId count);
/// What is added to scores: `low` where `hidden` is true, else 0.
ValueId added_where(Expansion& e, ValueId hidden, ValueId like, double low);
ValueId concat(Expansion& e, ValueId a, ValueId b, int64_t axis);
/// 1 / sqrt(D), unless the node says otherwise.
ValueId scale_of(Expansion& e, ValueId q);
/// -1 if it is not known.
int64_t last_extent(Expansion& e, ValueId value);

/// How heads are turned by their positions.
struct Rotation {
  ValueId positions, cosines, sines;  // [B,S], [positions, D/2]
  bool interleaved = false;
  int64_t width = 0;  // of each head what is turned; 0: all
};
/// [B,N,S,D] -> [B,N,S,D]
ValueId rotated(Expansion& e, ValueId value, const Rotation& rotation);

/// The operators of which each has a file.
bool group_query_attention(Expansion& e);
bool rotary_embedding(Expansion& e);

}  // namespace nibble
