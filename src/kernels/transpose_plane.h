// The transposition of a matrix in memory, in squares of whole vectors: what changes of layout are
// made of. For sources compiled for the baseline instruction set alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace nibble {

/// A square of as many elements a side as 16 bytes hold. Interleaving vector i with vector i +
/// half, as often as halving the side leads to 1, transposes it.
template <typename T>
class TransposedSquare {
 public:
  static constexpr int kSide = 16 / static_cast<int>(sizeof(T));

  static void copy(const T* source, int64_t source_step, T* target, int64_t target_step) {
    Lanes rows[kSide];
    for (int i = 0; i < kSide; ++i) std::memcpy(&rows[i], source + i * source_step, sizeof(Lanes));
    for (int side = kSide; side > 1; side /= 2) {
      Lanes mixed[kSide];
      for (int i = 0; i < kSide / 2; ++i) {
        mixed[2 * i] = interleave<0>(rows[i], rows[i + kSide / 2], Indices());
        mixed[2 * i + 1] = interleave<kSide / 2>(rows[i], rows[i + kSide / 2], Indices());
      }
      std::copy_n(mixed, kSide, rows);
    }
    for (int i = 0; i < kSide; ++i) std::memcpy(target + i * target_step, &rows[i], sizeof(Lanes));
  }

 private:
  using Lanes [[gnu::vector_size(16)]] = T;
  using Indices = std::make_integer_sequence<int, kSide>;

  template <int first, int... i>
  static Lanes interleave(Lanes a, Lanes b, std::integer_sequence<int, i...>) {
    return __builtin_shufflevector(a, b, (first + i / 2 + i % 2 * kSide)...);
  }
};

/// target[i * target_step + j] = source[j * source_step + i] for i below `rows`, j below `columns`.
template <typename T>
void transpose_plane(const T* source, int64_t source_step, T* target, int64_t target_step,
                     int64_t rows, int64_t columns) {
  constexpr int64_t kSide = TransposedSquare<T>::kSide;
  constexpr int64_t kSpan = 64;  // tiles of so many elements a side stay in the first-level cache
  const int64_t whole_rows = rows / kSide * kSide, whole_columns = columns / kSide * kSide;
  const auto square = [&](int64_t i, int64_t j) {
    TransposedSquare<T>::copy(source + j * source_step + i, source_step,
                              target + i * target_step + j, target_step);
  };
  for (int64_t r = 0; r < whole_rows; r += kSpan) {
    const int64_t r_end = std::min(whole_rows, r + kSpan);
    for (int64_t c = 0; c < whole_columns; c += kSpan) {
      const int64_t c_end = std::min(whole_columns, c + kSpan);
      // Along the lines that lie farther apart: those meet in the same sets of the cache.
      if (target_step > source_step) {
        for (int64_t i = r; i < r_end; i += kSide) {
          for (int64_t j = c; j < c_end; j += kSide) square(i, j);
        }
      } else {
        for (int64_t j = c; j < c_end; j += kSide) {
          for (int64_t i = r; i < r_end; i += kSide) square(i, j);
        }
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t done = i < whole_rows ? whole_columns : 0;
    for (int64_t j = done; j < columns; ++j) {
      target[i * target_step + j] = source[j * source_step + i];
    }
  }
}

}  // namespace nibble
