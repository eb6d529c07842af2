// What the op table says of a node: asked by passes, analysis, quantization and training, so that
// none of them knows an operator by name.
#pragma once

#include <optional>

#include "ops/op.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The node multiplies reals by a weight that quantization may round.
bool is_weighted(const Node& node);
/// Or it reads a weight that quantization may store in fewer bits: a constant.
bool has_weight(const Graph& graph, const Node& node);
bool has_weight(const Node& node, const Value& weight);
/// Its weight stays in reals while running (WeightRole::stored).
bool stores_weight(const Node& node);
/// It multiplies two activations.
bool multiplies_activations(const Graph& graph, const Node& node);

/// A node's weight: which axis means what, and the channels of each element.
class WeightIndex {
 public:
  /// `node` has a weight (OpRow::weights) of shape `weight`, of two dimensions and more.
  WeightIndex(const Node& node, const Shape& weight);

  const WeightAxes& axes() const { return axes_; }
  int64_t outputs() const { return outputs_; }  // output channels, over all groups
  int64_t inputs() const { return inputs_; }    // input channels, over all groups
  /// Output and input channel of an element (row-major).
  int64_t output(int64_t element) const {
    return axes_.output < axes_.reduction ? row(element) : column(element);
  }
  int64_t input(int64_t element) const {
    return axes_.output < axes_.reduction ? column(element) : row(element);
  }
  /// The axis along which the scales of output channels stand. Groups of a ConvTranspose share
  /// them: channel c has scale c % (number of scales).
  int scale_axis() const { return axes_.output; }

 private:
  int64_t row(int64_t element) const { return element / (inner_ * columns_) % rows_; }
  int64_t column(int64_t element) const {
    return row(element) / (rows_ / axes_.groups) * columns_ + element / inner_ % columns_;
  }

  WeightAxes axes_;
  int64_t rows_ = 1, columns_ = 1, inner_ = 1;
  int64_t outputs_ = 1, inputs_ = 1;
};

/// Which inputs of the node are what; its row has a weight.
const WeightRole& weight_role(const Node& node);
/// Those inputs: none where the node leaves them out.
inline ValueId data_of(const Node& node) { return node.input(weight_role(node).data); }
inline ValueId weight_of(const Node& node) { return node.input(weight_role(node).weight); }
inline ValueId bias_of(const Node& node) { return node.input(weight_role(node).bias); }
/// Where the node's weights stand among its inputs: one, or two.
std::vector<size_t> weight_inputs(const Node& node);

/// Axes of the node's weight, as its row has them.
WeightAxes weight_axes(const Node& node, const Shape& weight);

/// Gemm, MatMul and their like: the weight is a matrix (or a batch of them), not a convolution's.
bool is_matrix_product(const Node& node);

/// The bounds of a Relu, or of a Clip with known bounds; else nullopt.
std::optional<Clamp> clamp_of(const Graph& graph, const Node& node);
/// The node can hold its own result within bounds: Conv, Gemm, Add.
bool takes_clamp(const Node& node);
/// The node shows its first input under another shape, and gives nothing else.
bool is_view(const Node& node, const Shape& in);

}  // namespace nibble
#pragma GCC visibility pop
