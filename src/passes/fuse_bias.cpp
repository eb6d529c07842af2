// A bias added to a matrix product goes into it: the sum begins with the bias, and no pass over the
// result is needed.
//
// Before: %p = MatMul(%x, %w)          %y = Add(%p, %b)
// After:  %r = Reshape(%x, [rows, depth])   %g = Gemm(%r, %w, %b)   %y = Reshape(%g, ...) (views:
// they move nothing)
//
// Only where w is one constant matrix, b a constant with one number for each column, and, between
// codes, b no larger than what leaves 32-bit sums of products their room; there it becomes an
// integer, in units of these sums, as a layer's bias is.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>
#include <vector>

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

  // The unit of the sums of codes, for all columns or for each; none where reals are multiplied.
  std::vector<float> units(const Node& product) const {
    const auto &data = type(product.inputs[0]).quant, &weight = type(product.inputs[1]).quant;
    std::vector<float> units;
    if (!data || !weight || weight->granularity == Granularity::per_block) return units;
    for (const float scale : weight->scale) {
      units.push_back(
          static_cast<float>(static_cast<double>(data->scale[0]) * static_cast<double>(scale)));
    }
    return units;
  }

  // In these units it leaves 32-bit sums of products their room.
  bool fits(ValueId bias, std::span<const float> units) const {
    const std::span<const float> values = graph_.value(bias).data.data<float>();
    for (size_t i = 0; !units.empty() && i < values.size(); ++i) {
      const auto unit = static_cast<double>(units[units.size() == 1 ? 0 : i]);
      if (!(std::abs(static_cast<double>(values[i])) <= kLargestBias * unit)) return false;
    }
    return true;
  }

  // The bias as a row; between codes on the grid of the sums, so that what runs in reals adds the
  // same.
  ValueId row_of(ValueId bias, const std::vector<float>& units) {
    const Value& value = graph_.value(bias);
    if (units.empty() && value.type.shape.rank() == 1) return bias;
    Tensor row = value.data.reshaped({value.data.elements()});
    const bool each = units.size() > 1;
    const QuantParams grid{
        .storage = DType::i32,
        .qmin = std::numeric_limits<int32_t>::min(),
        .qmax = std::numeric_limits<int32_t>::max(),
        .scale = units,
        .zero_point = std::vector<int32_t>(units.size(), 0),
        .granularity = each ? Granularity::per_channel : Granularity::per_tensor};
    if (!units.empty()) row = quantize_tensor(row, grid);
    const ValueId made = editor_.add_constant(value.name, std::move(row));
    if (!units.empty()) {
      graph_.value(made).type.dtype = DType::f32;
      graph_.value(made).type.quant = grid;
    }
    return made;
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
    const std::vector<float> sum_units = units(product);
    if (!is_bias(bias, columns) || !fits(bias, sum_units) ||
        !(type(result).shape == type(product.outputs[0]).shape)) {
      return false;
    }
    const ValueId data = as_matrix(product.inputs[0], id);
    Node gemm{.op = "Gemm",
              .name = product.name,
              .inputs = {data, product.inputs[1], row_of(bias, sum_units)}};
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
