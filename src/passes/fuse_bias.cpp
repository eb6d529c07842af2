// A bias added to a matrix product goes into it: the sum begins with the bias, and no pass over the result is needed.
//
// Before: %p = MatMul(%x, %w)          %y = Add(%p, %b)
// After:  %r = Reshape(%x, [rows, depth])   %g = Gemm(%r, %w, %b)   %y = Reshape(%g, ...)      (views: they move nothing)
//
// Only where w is one constant matrix, b a constant with one number for each column, and, between codes, b no larger than
// what leaves 32-bit sums of products their room.
#include <algorithm>
#include <cmath>
#include <map>

#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr double kLargestBias = 1 << 29;  // in units of the sum

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), editor_(graph) {}

  int run() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.op == "MatMul" && node.domain.empty()) fused += fuse(id) ? 1 : 0;
    }
    editor_.finish();
    if (fused > 0) graph_.prune();
    return fused;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }

  bool is_product_of_rows(const Node& node) const {
    const Shape &data = type(node.inputs[0]).shape, &weight = type(node.inputs[1]).shape;
    return graph_.value(node.inputs[1]).is_constant() && weight.rank() == 2 && data.is_static() &&
           data.rank() >= 2 && data.elements() > 0 && type(node.inputs[0]).dtype == DType::f32 &&
           node.output(0) && !type(node.outputs[0]).quant;
  }

  bool is_bias(ValueId id, int64_t columns) const {
    const Value& value = graph_.value(id);
    const Shape& shape = value.type.shape;
    return value.is_constant() && value.type.dtype == DType::f32 && !value.type.quant &&
           shape.rank() > 0 && shape[shape.rank() - 1] == columns && shape.elements() == columns;
  }

  // In units of the sum of codes it is small enough; or there are no codes.
  bool fits(const Node& product, ValueId bias) const {
    const auto &data = type(product.inputs[0]).quant, &weight = type(product.inputs[1]).quant;
    if (!data || !weight || weight->granularity == Granularity::per_block) return true;
    const std::span<const float> values = graph_.value(bias).data.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      const float scale = weight->scale[weight->scale.size() == 1 ? 0 : i];
      const double unit = static_cast<double>(data->scale[0]) * static_cast<double>(scale);
      if (!(std::abs(static_cast<double>(values[i])) <= kLargestBias * unit)) return false;
    }
    return true;
  }

  ValueId shape_constant(const Shape& shape) {
    const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
    return editor_.add_constant(
        "shape", Tensor::of<int64_t>({shape.rank()}, std::span<const int64_t>(dims)));
  }

  NodeId reshape(ValueId from, ValueId to, NodeId before) {
    Node node{.op = "Reshape",
              .name = editor_.unique_node_name(graph_.node(before).name + "_rows"),
              .inputs = {from, shape_constant(type(to).shape)},
              .outputs = {to}};
    return editor_.insert_before(before, std::move(node));
  }

  // The data as one matrix; the same value for all products that read it.
  ValueId as_matrix(ValueId data, NodeId before) {
    if (type(data).shape.rank() == 2) return data;
    ValueId& matrix = matrices_[data];
    if (!matrix) {
      TensorType rows = type(data);
      const int64_t depth = rows.shape[rows.shape.rank() - 1];
      rows.shape = {rows.shape.elements() / depth, depth};
      matrix = editor_.add_value(graph_.value(data).name + "_rows", rows);
      reshape(data, matrix, before);
    }
    return matrix;
  }

  bool fuse(NodeId id) {
    const Node product = graph_.node(id);
    if (!is_product_of_rows(product)) return false;
    const auto next = editor_.only_consumer(product.outputs[0]);
    if (!next || graph_.node(*next).op != "Add" || !graph_.node(*next).domain.empty()) return false;
    const Node add = graph_.node(*next);
    const ValueId bias = add.inputs[add.inputs[0] == product.outputs[0] ? 1 : 0];
    const int64_t columns = type(product.inputs[1]).shape[1];
    const ValueId result = add.output(0);
    if (!is_bias(bias, columns) || !fits(product, bias) ||
        !(type(result).shape == type(product.outputs[0]).shape)) {
      return false;
    }
    const ValueId data = as_matrix(product.inputs[0], id);
    const Tensor& flat = graph_.value(bias).data;
    const ValueId row = type(bias).shape.rank() == 1
                            ? bias
                            : editor_.add_constant(graph_.value(bias).name, flat.reshaped({columns}));
    Node gemm{.op = "Gemm", .name = product.name, .inputs = {data, product.inputs[1], row}};
    gemm.clamp = add.clamp;
    ValueId out = result;
    if (data != product.inputs[0]) {
      TensorType rows = type(result);
      rows.shape = {type(data).shape[0], columns};
      out = editor_.add_value(graph_.value(result).name + "_rows", rows);
    }
    gemm.outputs = {out};
    editor_.remove(id);
    editor_.remove(*next);
    editor_.insert_before(*next, std::move(gemm));
    if (out != result) reshape(out, result, *next);
    return true;
  }

  Graph& graph_;
  GraphEditor editor_;
  std::map<ValueId, ValueId> matrices_;
};

}  // namespace

int fuse_bias(Graph& graph) {
  infer_types(graph);
  return Fuser(graph).run();
}

}  // namespace nibble
