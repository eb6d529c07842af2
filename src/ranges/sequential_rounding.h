// Rounding the columns of a matrix one after another, each so that those still open take back what
// its error does to the product: the core of GPTQ.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace nibble {

/// Numbers to be rounded to scale * code, in [columns, outputs], and the codes there are. Outputs
/// are independent of each other.
struct ColumnsToRound {
  int64_t outputs = 0;
  std::vector<double> target;
  std::vector<float> scale;
  int32_t qmin = 0, qmax = 0;
};

struct RoundedColumns {
  std::vector<int32_t> codes;  // [columns, outputs]
  std::vector<double> error;   // by output: e^T H e for e = target - scale * code
};

/// For one symmetric positive semidefinite matrix H of second moments. Frantar et al. 2022 (GPTQ,
/// arXiv:2210.17323) write it with the Cholesky factor of H's inverse; the same steps follow from
/// that of H itself, taken from its end, without an inverse.
class SequentialRounder {
 public:
  /// `second` [columns, columns]; `workspace` any memory to be used again. The matrix is damped by
  /// `damping` times the mean of its diagonal, which makes it regular. Columns of larger diagonal
  /// are rounded first, while there are many left that can take their errors.
  SequentialRounder(std::vector<double> second, std::vector<double> workspace, double damping,
                    ThreadPool& pool);

  int64_t columns() const { return n_; }
  /// right := H^-1 right, for right [columns, outputs].
  void solve(std::span<double> right, int64_t outputs, ThreadPool& pool) const;
  /// `sweeps`: how often each code is afterwards looked at again, given all the others.
  RoundedColumns round(const ColumnsToRound& problem, int sweeps, ThreadPool& pool) const;

 private:
  struct Slice;
  void round_slice(Slice& slice) const;
  void sweep(Slice& slice) const;

  int64_t n_;
  std::vector<double> second_;   // damped
  std::vector<double> factor_;   // of the permuted matrix, lower triangle
  std::vector<int64_t> column_;  // by position
};

}  // namespace nibble
