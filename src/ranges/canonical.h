// Rewrites that give more layers the form that quantization knows. Each returns the number of
// rewrites, and needs inferred types.
#pragma once

#include "nibble/graph.h"

namespace nibble {

/// Shape arithmetic on a dynamic batch. What is the same for any batch becomes constant; in the
/// target of a Reshape, the one dimension that is proportional to the batch becomes -1.
///
/// Before: %s = Shape(%x)  %n = Gather(%s, 0)  %t = Concat(%n, [-1])  %y = Reshape(%x, %t)
/// After:  %y = Reshape(%x, [-1,12])    (%x is [?,3,2,2])
int fold_batch_independent(Graph& graph);

/// Constants on the left, data that Gemm transposes, and what Gemm adds that is no bias.
///
/// Before: %y = MatMul(%w, %x)                  After: %y = Transpose(MatMul(Transpose(%x), %w^T))
/// Before: %y = Gemm(%x, %w) {transA=1}         After: %y = Gemm(Transpose(%x), %w)
/// Before: %y = Gemm(%w, %x, %b)                After: %y = Transpose(Gemm(Transpose(%x), %w^T,
/// %b)) Before: %y = Gemm(%x, %w, %c) {beta=2}       After: %y = Add(Gemm(%x, %w), Mul(%c, 2))
int turn_products(Graph& graph);

/// Before: %y = Gemm(%x, %w, %b) {alpha=0.5, beta=2}
/// After:  %y = Gemm(%x, 0.5 %w, 2 %b)
int fold_gemm_factors(Graph& graph);

/// Before: %m = MatMul(%x, %w)  %y = Add(%m, %b)    (%x is a matrix, %w and %b are constant)
/// After:  %y = Gemm(%x, %w, %b)
int join_matmul_bias(Graph& graph);

}  // namespace nibble
