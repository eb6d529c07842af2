// Attention on codes: the scores of a few queries at a time, their softmax, and the values it
// weighs, for each head, without any of it being written to memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "kernels/output_stage.h"
#include "nibble/isa.h"

namespace nibble {

/// Where the rows of an operand lie: row `row` of head `head` begins at this element; the elements
/// of a row are adjacent.
struct HeadRows {
  int64_t first = 0, batch = 0, head = 0, row = 0;

  int64_t at(int64_t b, int64_t h, int64_t r) const {
    return first + b * batch + h * head + r * row;
  }
};

struct AttentionShape {
  int64_t batch = 1, heads = 1;
  int64_t queries = 1, keys = 1;
  int64_t size = 1;        // of a query and a key
  int64_t value_size = 1;  // of a value and a result
  HeadRows q, k, v, out;
  HeadRows mask;  // f32, `keys` to a row; steps of 0 where it is broadcast
};

/// The arithmetic, for each query i of each head:
///   score[j] = float(sum over c of (q[i,c] - q_zero) * (k[j,c] - k_zero)) * score_scale +
///   mask[i,j] e[j] = e^(score[j] - the largest score), by exp_f32() p[j] =
///   clamp(round_half_to_even(e[j] * float(1 / (sum of e * p_scale))) + p_zero, p_qmin, p_qmax)
///   out[i,c] = stage(sum over j of (p[j] - p_zero) * (v[j,c] - v_zero))
/// The sums of products are exact, that of e is RealRows::exponentials()'s.
struct AttentionNumbers {
  int32_t q_zero = 0, k_zero = 0, v_zero = 0;
  float score_scale = 1;
  double p_scale = 1.0 / 255;
  int32_t p_zero = 0, p_qmin = 0, p_qmax = 255;
  OutputStage stage;  // one multiplier, for all
};

class QAttention {
 public:
  /// Throws Error{unsupported} if there are more keys, or longer ones, than sums of 32 bits hold
  /// (QProduct::kMaxDepth); Error{invalid_argument} for extents below 1 or zero points that do not
  /// fit u8.
  QAttention(const AttentionShape& shape, AttentionNumbers numbers, Isa isa = best_isa());
  QAttention(QAttention&&) noexcept;
  QAttention& operator=(QAttention&&) noexcept;
  ~QAttention();

  /// `mask` may be nullptr: none is added. `workspace` has workspace_bytes() bytes, 64-byte
  /// aligned. Allocates nothing. The same bits for every Isa and thread count.
  void run(const uint8_t* q, const uint8_t* k, const uint8_t* v, const float* mask, void* output,
           void* workspace, ThreadPool& pool) const;

  size_t workspace_bytes() const;
  /// "attention u8 avx512_vnni".
  std::string describe() const;

  struct Impl;

 private:
  std::unique_ptr<const Impl> impl_;
};

}  // namespace nibble
