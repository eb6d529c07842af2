#include "ranges/cholesky.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace nibble {
namespace {

constexpr int64_t kBlock = 64;

// The block on the diagonal, by rows.
bool factor_block(double* a, int64_t n, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    double* row = a + i * n;
    for (int64_t j = begin; j <= i; ++j) {
      const double* other = a + j * n;
      double sum = row[j];
      for (int64_t k = begin; k < j; ++k) sum -= row[k] * other[k];
      if (j < i) {
        row[j] = sum / other[j];
      } else if (sum > 0) {
        row[j] = std::sqrt(sum);
      } else {
        return false;
      }
    }
  }
  return true;
}

// Row i of the panel below the block on the diagonal.
void solve_row(double* a, int64_t n, int64_t begin, int64_t end, int64_t i) {
  double* row = a + i * n;
  for (int64_t j = begin; j < end; ++j) {
    const double* other = a + j * n;
    double sum = row[j];
    for (int64_t k = begin; k < j; ++k) sum -= row[k] * other[k];
    row[j] = sum / other[j];
  }
}

// What the panel takes from row i, in pieces that fit registers; `turned` is the panel transposed:
// [block, rows from `end` on].
void update_row(double* a, int64_t n, int64_t begin, int64_t end, int64_t i,
                const std::vector<double>& turned) {
  constexpr int64_t kPiece = 16;
  double* row = a + i * n;
  const int64_t height = n - end, count = i - end + 1;
  int64_t j = 0;
  for (; j + kPiece <= count; j += kPiece) {
    std::array<double, kPiece> sums{};
    for (int64_t k = begin; k < end; ++k) {
      const double factor = row[k];
      const double* column = turned.data() + (k - begin) * height + j;
      for (size_t p = 0; p < kPiece; ++p) sums[p] += factor * column[p];
    }
    for (size_t p = 0; p < kPiece; ++p) row[end + j + static_cast<int64_t>(p)] -= sums[p];
  }
  for (; j < count; ++j) {
    double sum = 0;
    for (int64_t k = begin; k < end; ++k) {
      sum += row[k] * turned[static_cast<size_t>((k - begin) * height + j)];
    }
    row[end + j] -= sum;
  }
}

}  // namespace

bool factor_cholesky(std::span<double> matrix, int64_t n, ThreadPool& pool) {
  double* a = matrix.data();
  std::vector<double> turned;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock), height = n - end;
    if (!factor_block(a, n, begin, end)) return false;
    turned.resize(static_cast<size_t>((end - begin) * height));
    pool.parallel_for((height + kBlock - 1) / kBlock, [&](int64_t tile) {
      for (int64_t i = end + tile * kBlock; i < std::min(n, end + (tile + 1) * kBlock); ++i) {
        solve_row(a, n, begin, end, i);
        for (int64_t k = begin; k < end; ++k) {
          turned[static_cast<size_t>((k - begin) * height + i - end)] = a[i * n + k];
        }
      }
    });
    pool.parallel_for((height + kBlock - 1) / kBlock, [&](int64_t tile) {
      for (int64_t i = end + tile * kBlock; i < std::min(n, end + (tile + 1) * kBlock); ++i) {
        update_row(a, n, begin, end, i, turned);
      }
    });
  }
  return true;
}

}  // namespace nibble
