// Quantized product of matrices that are both known only when running: attention.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/output_stage.h"
#include "nibble/isa.h"

namespace nibble {

/// out[i,m,n] = stage(sum over k of (a[i,m,k] - a_zero_point) * (b[i,k,n] - b_zero_point)) for each
/// pair of matrices i. The right-hand sides are packed in every run.
class QProduct {
 public:
  /// First elements of the operands of one product; results follow one another.
  struct Pair {
    int64_t a = 0, b = 0;
  };
  struct Shape {
    int64_t rows = 1, depth = 1, columns = 1;
    std::vector<Pair> pairs;
    int64_t a_elements = 0;  // of the whole left operand
    int32_t a_zero_point = 0, b_zero_point = 0;
  };
  /// Products of u8 fit int32 up to this depth.
  static constexpr int64_t kMaxDepth = 33025;

  /// `stage` has one multiplier, for all columns. Throws Error{unsupported} if the depth is above
  /// kMaxDepth, Error{invalid_argument} for extents below 1 or zero points that do not fit u8.
  QProduct(Shape shape, OutputStage stage, Isa isa = best_isa());
  QProduct(QProduct&&) noexcept;
  QProduct& operator=(QProduct&&) noexcept;
  ~QProduct();

  /// `workspace` has workspace_bytes() bytes, 64-byte aligned. Allocates nothing. The same bits for
  /// every Isa and thread count.
  void run(const uint8_t* a, const uint8_t* b, void* output, void* workspace,
           ThreadPool& pool) const;

  size_t workspace_bytes() const;
  /// "product u8u8 avx512_vnni".
  std::string describe() const;

  struct Impl;

 private:
  std::unique_ptr<const Impl> impl_;
};

}  // namespace nibble
