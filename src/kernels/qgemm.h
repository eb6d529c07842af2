// Quantized matrix product with constant weights.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "kernels/output_stage.h"
#include "nibble/isa.h"

namespace nibble {

/// out[m,n] = stage(bias[n] + sum over k of (a[m,k] - input_zero_point) * b[k,n]). The number of
/// rows is given when running: a batch of matrices that share the weights is one long matrix.
class QGemm {
 public:
  enum class Layout : uint8_t {
    kn,  // weights[k * n_count + n], as MatMul has them
    nk,  // weights[n * k_count + k], as Gemm with transB has them
  };
  struct Shape {
    int64_t k = 1;
    int64_t n = 1;
    Layout layout = Layout::kn;
  };

  /// Errors, `saturating` and `greatest_code` as QConv.
  QGemm(const Shape& shape, std::span<const int8_t> weights, std::span<const int32_t> bias,
        int32_t input_zero_point, OutputStage stage, Isa isa = best_isa(), bool saturating = false,
        int32_t greatest_code = 255);
  QGemm(QGemm&&) noexcept;
  QGemm& operator=(QGemm&&) noexcept;
  ~QGemm();

  /// `a` is [rows, k] u8, `output` [rows, n]; `workspace` has workspace_bytes(rows) bytes, 64-byte
  /// aligned. Allocates nothing.
  void run(const uint8_t* a, int64_t rows, void* output, void* workspace, ThreadPool& pool) const;

  /// As QConv::run with a grid.
  void run(const uint8_t* a, const RunTimeGrid& grid, int64_t rows, void* output, void* workspace,
           ThreadPool& pool) const;

  size_t workspace_bytes(int64_t rows) const;
  size_t constant_bytes() const;
  /// "gemm u8s8 avx512_vnni"; see PackedProduct::describe_weights().
  std::string describe() const;

  struct Impl;

 private:
  std::unique_ptr<const Impl> impl_;
};

}  // namespace nibble
