// Matrix products: their geometry, and the f32 kernel on oneDNN that MatMul and Gemm share.
#pragma once

#include <memory>
#include <vector>

#include "ops/op.h"
#include "ops/support/reference.h"
#include "ops/support/spatial.h"

namespace nibble {

/// out[i] = clamp(alpha * a[i] * b[i] + beta * c) for each matrix i of a batch.
struct MatmulProblem {
  MatrixShape matrix;
  /// First elements of the operands of each product (results follow one another).
  struct Offsets {
    int64_t a = 0, b = 0;
    bool operator==(const Offsets&) const = default;
  };
  std::vector<Offsets> batch;
  float alpha = 1;
  float beta = 1;
  /// Strides of input 2 over the result's rows and columns, 0 where it is broadcast.
  bool has_addend = false;
  int64_t addend_row = 0, addend_column = 0;
  Clamp clamp;
  Shape output;  // as the node declares it

  int64_t macs() const {
    return static_cast<int64_t>(batch.size()) * matrix.rows * matrix.columns * matrix.depth;
  }
  bool operator==(const MatmulProblem&) const = default;
};

/// The shape of numpy's matmul; unknown dimensions stay unknown. Throws Error{invalid_model}.
Shape matmul_shape(const Shape& a, const Shape& b);
/// MatMul of static shapes, with broadcast batches and 1-d operands. A batch of rows against one
/// matrix becomes one product.
MatmulProblem matmul_problem(const Node& node, const Shape& a, const Shape& b);
/// Gemm of static shapes; `c` is nullptr if there is no input 2.
MatmulProblem gemm_problem(const Node& node, const Shape& a, const Shape& b, const Shape* c);

/// f32 kernel; `b` and `c` are inputs 1 and 2 if they are constant: packed now. Work is cut
/// by batch, else by rows, else by columns, in the same way for every thread count. nullptr if
/// there is nothing to multiply.
std::unique_ptr<Kernel> make_matmul_kernel(const MatmulProblem& problem, const Tensor* b,
                                           const Tensor* c);

/// out = clamp(out + beta * c) for rows [begin, end) of all matrices one after another.
void add_and_activate(const MatmulProblem& problem, const float* c, float* out, int64_t begin,
                      int64_t end);

}  // namespace nibble
