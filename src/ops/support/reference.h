// Convolution and matrix product as plain loops: the meaning that the fast kernels are tested
// against, and what evaluates the rare cases they leave out (other element types, windows that lie
// wholly in the padding).
#pragma once

#include <type_traits>

#include "ops/convolution/conv.h"

namespace nibble {

/// T is float or double; sums in double. `bias` may be empty. Data layout as problem.channels_last
/// says; weights are [O,I/group,k...] always.
template <typename T>
void reference_conv(const ConvProblem& problem, std::span<const T> data, std::span<const T> weight,
                    std::span<const T> bias, std::span<T> out);

extern template void reference_conv(const ConvProblem&, std::span<const float>,
                                    std::span<const float>, std::span<const float>,
                                    std::span<float>);
extern template void reference_conv(const ConvProblem&, std::span<const double>,
                                    std::span<const double>, std::span<const double>,
                                    std::span<double>);

/// out[m,n] = sum over k of a[m * a_row + k * a_step] * b[k * b_step + n * b_column]. Sums in T,
/// but float in double.
struct MatrixShape {
  int64_t rows = 0, columns = 0, depth = 0;
  int64_t a_row = 0, a_step = 1;
  int64_t b_step = 0, b_column = 1;
  bool operator==(const MatrixShape&) const = default;
};
template <typename T>
void reference_matmul(const MatrixShape& shape, const T* a, const T* b, T* out) {
  using Sum = std::conditional_t<std::is_same_v<T, float>, double, T>;
  for (int64_t m = 0; m < shape.rows; ++m) {
    for (int64_t n = 0; n < shape.columns; ++n) {
      Sum sum{};
      for (int64_t k = 0; k < shape.depth; ++k) {
        sum =
            static_cast<Sum>(sum + static_cast<Sum>(a[m * shape.a_row + k * shape.a_step]) *
                                       static_cast<Sum>(b[k * shape.b_step + n * shape.b_column]));
      }
      out[m * shape.columns + n] = static_cast<T>(sum);
    }
  }
}

}  // namespace nibble
