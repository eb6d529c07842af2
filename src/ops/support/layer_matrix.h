// A weighted layer as products of matrices: what methods that look at a layer's data work on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The layer gives, for each of its groups,
///   result[row, output] = sum over k < depth of data[row, k] * weight[output, k]  (+ bias).
/// A row is a place of the result (a pixel of an image, a row of a matrix). Groups are those of a
/// convolution, or the matrices of a batched weight.
class LayerMatrix {
 public:
  virtual ~LayerMatrix() = default;

  int64_t groups() const { return groups_; }
  int64_t outputs() const { return outputs_; }  // of each group
  int64_t depth() const { return depth_; }

  /// Index of weight[output, k] of a group in the weight tensor (row-major).
  virtual int64_t element(int64_t group, int64_t output, int64_t k) const = 0;
  /// The rows that data of this shape have for each group.
  virtual int64_t rows(const Shape& data) const = 0;
  /// Writes data[row, k] of the rows asked for, each from 0 to rows() - 1, to `out` [rows, depth].
  /// `data` is f32; padding is 0.
  virtual void gather(const Tensor& data, int64_t group, std::span<const int64_t> rows,
                      float* out) const = 0;

 protected:
  LayerMatrix(int64_t groups, int64_t outputs, int64_t depth)
      : groups_(groups), outputs_(outputs), depth_(depth) {}

 private:
  int64_t groups_, outputs_, depth_;
};

/// Each of the operators that are such products, beside the operator.
std::unique_ptr<LayerMatrix> conv_matrix(const Node& node, const Shape& weight);
std::unique_ptr<LayerMatrix> conv_transpose_matrix(const Node& node, const Shape& weight);
std::unique_ptr<LayerMatrix> gemm_matrix(const Node& node, const Shape& weight);
std::unique_ptr<LayerMatrix> matmul_matrix(const Node& node, const Shape& weight);

/// A node's layer as matrices; nullptr if its operator is no such product.
std::unique_ptr<LayerMatrix> layer_matrix(const Node& node, const Shape& weight);

}  // namespace nibble
#pragma GCC visibility pop
