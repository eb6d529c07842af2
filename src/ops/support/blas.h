// Matrix products in f32 outside of layers of their own, on oneDNN and the calling thread alone.
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)
namespace nibble {

/// out[i, j] = sum over r < rows of a[r, i] * b[r, j], for i < height and j < width. Rows of `a`
/// and `b` are `stride` apart, those of `out` `width`.
struct TransposedProduct {
  const float* a = nullptr;
  const float* b = nullptr;
  float* out = nullptr;
  int64_t rows = 0, height = 0, width = 0, stride = 0;
};
void multiply_transposed(const TransposedProduct& product);

/// out[i] = sum over j < columns of matrix[i, j] * vector[j], for i < rows.
struct VectorProduct {
  const float* matrix = nullptr;
  const float* vector = nullptr;
  float* out = nullptr;
  int64_t rows = 0, columns = 0;
};
void multiply_vector(const VectorProduct& product);

}  // namespace nibble
#pragma GCC visibility pop
