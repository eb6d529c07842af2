// A matrix product for statistics of data, on oneDNN.
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)
namespace nibble {

/// out[i, j] = sum over r < rows of a[r, i] * b[r, j], for i < height and j < width, in f32 and on
/// the calling thread alone. Rows of `a` and `b` are `stride` apart, those of `out` `width`.
struct TransposedProduct {
  const float* a = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  int64_t rows = 0, height = 0, width = 0, stride = 0;
};
void multiply_transposed(const TransposedProduct& product);

}  // namespace nibble
#pragma GCC visibility pop
