#include "ops/movement/transpose.h"
#include "ops/support/spatial.h"

namespace nibble {

Tensor with_channels(const Tensor& tensor, bool last, ThreadPool& pool) {
  const SpatialShape shape(tensor.shape(), !last);
  std::vector<int> axes = {0};
  if (!last) axes.push_back(shape.rank + 1);
  for (int axis = 0; axis < shape.rank; ++axis) axes.push_back(axis + (last ? 2 : 1));
  if (last) axes.push_back(1);
  Tensor result(tensor.dtype(), spatial_shape(shape.batch, shape.channels, shape.spatial(), last));
  permute(make_permutation(tensor.shape(), axes), static_cast<size_t>(bits_of(tensor.dtype()) / 8),
          tensor.raw(), result.raw(), pool);
  return result;
}

}  // namespace nibble
