// RotaryEmbedding of com.microsoft becomes that of ONNX.
#include "onnx/expand/attention.h"

namespace nibble {

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

}  // namespace nibble
