#pragma once

#include "nibble/data.h"

namespace nibble {

/// The shape of `batch` samples at once: [batch, sample...].
inline Shape batch_shape(const Dataset& data, int64_t batch) {
  const Shape sample = data.sample_shape();
  Shape shape{batch};
  for (const int64_t extent : sample.dims()) shape.push_back(extent);
  return shape;
}

}  // namespace nibble
