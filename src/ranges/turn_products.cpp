// Matrix products get the form that quantization knows: data on the left, as rows; a constant
// weight on the right; and a bias of one number per output channel.
#include <algorithm>
#include <numeric>

#include "ranges/canonical.h"

namespace nibble {
namespace {

bool is_f32_constant(const Graph& graph, ValueId id) {
  return id && graph.value(id).is_constant() && !graph.value(id).type.quant &&
         graph.value(id).data.dtype() == DType::f32;
}

bool is_f32_activation(const Graph& graph, ValueId id) {
  return id && !graph.value(id).is_constant() && graph.value(id).type.dtype == DType::f32;
}

// With the last two axes exchanged.
Tensor turned(const Tensor& matrices) {
  Shape shape = matrices.shape();
  const int rank = shape.rank();
  const int64_t rows = shape[rank - 2], columns = shape[rank - 1];
  std::swap(shape[rank - 2], shape[rank - 1]);
  Tensor result(DType::f32, shape);
  const std::span<const float> in = matrices.data<float>();
  const std::span<float> out = result.data<float>();
  for (size_t i = 0; i < in.size(); ++i) {
    const auto element = static_cast<int64_t>(i);
    const int64_t first = element / (rows * columns) * rows * columns;
    const int64_t row = element / columns % rows, column = element % columns;
    out[static_cast<size_t>(first + column * rows + row)] = in[i];
  }
  return result;
}

class Turner {
 public:
  explicit Turner(Graph& graph) : graph_(graph) {}

  int run() {
    for (const NodeId id : graph_.nodes()) {
      const Node node = graph_.node(id);
      if (!node.domain.empty() || !node.output(0)) continue;
      if (node.op == "MatMul") turn_matmul(id);
      if (node.op == "Gemm") turn_gemm(id);
    }
    return count_;
  }

 private:
  // A Transpose of the last two axes of `value`, before the node; its result has `stem` in its
  // name.
  ValueId add_turned(NodeId before, ValueId value, int rank, const std::string& stem) {
    TensorType type = graph_.value(value).type;
    if (type.shape.rank() >= 2) std::swap(type.shape[rank - 2], type.shape[rank - 1]);
    const ValueId result = graph_.add_value(graph_.unique_value_name(stem + "_turned"), type);
    graph_.insert_node(before, transpose(value, result, rank, stem + "_turn"));
    return result;
  }

  Node transpose(ValueId from, ValueId to, int rank, const std::string& stem) {
    std::vector<int64_t> permutation(static_cast<size_t>(rank));
    std::iota(permutation.begin(), permutation.end(), 0);
    std::swap(permutation[permutation.size() - 2], permutation[permutation.size() - 1]);
    Node node{.op = "Transpose",
              .name = graph_.unique_node_name(stem),
              .inputs = {from},
              .outputs = {to}};
    node.attributes.set("perm", std::move(permutation));
    return node;
  }

  // The node's result is now a value of its own, with the last two axes exchanged.
  ValueId take_result(NodeId id, int rank) {
    const ValueId result = graph_.node(id).outputs[0];
    TensorType type = graph_.value(result).type;
    if (rank > 1 && type.shape.rank() == rank)
      std::swap(type.shape[rank - 2], type.shape[rank - 1]);
    const ValueId product =
        graph_.add_value(graph_.unique_value_name(graph_.value(result).name + "_turned"), type);
    graph_.node(id).outputs[0] = product;
    return product;
  }

  void insert_after(NodeId id, Node node) {
    const std::vector<NodeId> order = graph_.nodes();
    const auto at = std::ranges::find(order, id) + 1;
    if (at == order.end()) {
      graph_.add_node(std::move(node));
    } else {
      graph_.insert_node(*at, std::move(node));
    }
  }

  ValueId turned_constant(ValueId id) {
    return graph_.add_constant(graph_.unique_value_name(graph_.value(id).name + "_turned"),
                               turned(graph_.value(id).data));
  }

  void turn_matmul(NodeId id) {
    const Node node = graph_.node(id);
    if (!is_f32_constant(graph_, node.input(0)) || !is_f32_activation(graph_, node.input(1))) {
      return;
    }
    const Tensor weight = graph_.value(node.inputs[0]).data;
    const int rank = graph_.value(node.inputs[1]).type.shape.rank();
    if (weight.shape().rank() < 2 || weight.elements() == 0 || rank < 1) return;
    const ValueId right = turned_constant(node.inputs[0]);
    const bool is_vector = rank == 1;
    const ValueId left =
        is_vector ? node.inputs[1] : add_turned(id, node.inputs[1], rank, node.name);
    graph_.node(id).inputs = {left, right};
    ++count_;
    if (is_vector) return;
    const int out_rank = std::max(rank, weight.shape().rank());
    const ValueId product = take_result(id, out_rank);
    insert_after(id, transpose(product, node.outputs[0], out_rank, node.name + "_turn_back"));
  }

  void turn_gemm(NodeId id) {
    if (is_f32_constant(graph_, graph_.node(id).input(0)) &&
        is_f32_activation(graph_, graph_.node(id).input(1))) {
      exchange_operands(id);
    }
    if (!is_f32_constant(graph_, graph_.node(id).input(1)) ||
        !is_f32_activation(graph_, graph_.node(id).input(0))) {
      return;
    }
    if (graph_.node(id).attributes.integer("transA", 0) != 0) {
      const ValueId data = add_turned(id, graph_.node(id).inputs[0], 2, graph_.node(id).name);
      graph_.node(id).inputs[0] = data;
      graph_.node(id).attributes.erase("transA");
      ++count_;
    }
    split_addend(id);
  }

  // w' x' + c = (x'^T w'^T + c^T)^T
  void exchange_operands(NodeId id) {
    split_addend(id);
    const Node node = graph_.node(id);
    Node& edited = graph_.node(id);
    edited.attributes.set("transA", int64_t{node.attributes.integer("transB", 0) != 0 ? 0 : 1});
    edited.attributes.set("transB", int64_t{node.attributes.integer("transA", 0) != 0 ? 0 : 1});
    std::swap(edited.inputs[0], edited.inputs[1]);
    const ValueId product = take_result(id, 2);
    insert_after(id, transpose(product, node.outputs[0], 2, node.name + "_turn_back"));
    ++count_;
  }

  // One number per column of the product, or one for all.
  bool is_bias(ValueId id, int64_t columns) const {
    if (!is_f32_constant(graph_, id)) return false;
    const Shape& shape = graph_.value(id).data.shape();
    if (shape.elements() == 1) return true;
    return shape.rank() >= 1 && shape[shape.rank() - 1] == columns && shape.elements() == columns;
  }

  void split_addend(NodeId id) {
    const Node node = graph_.node(id);
    const ValueId addend = node.input(2);
    if (!addend || graph_.value(addend).type.dtype != DType::f32) return;
    const bool on_right = is_f32_constant(graph_, node.inputs[1]);
    const Shape weight = graph_.value(node.inputs[on_right ? 1 : 0]).data.shape();
    if (weight.rank() != 2) return;
    const bool turned = node.attributes.integer("transB", 0) != 0;
    if (on_right && is_bias(addend, weight[turned ? 0 : 1])) return;
    Node& edited = graph_.node(id);
    edited.inputs.resize(2);
    edited.attributes.erase("beta");
    const std::string stem = graph_.value(node.outputs[0]).name;
    const ValueId product = graph_.add_value(graph_.unique_value_name(stem + "_product"),
                                             graph_.value(node.outputs[0]).type);
    edited.outputs[0] = product;
    insert_after(id, {.op = "Add",
                      .name = graph_.unique_node_name(node.name + "_add"),
                      .inputs = {product, scaled(id, addend, node.attributes.real("beta", 1))},
                      .outputs = {node.outputs[0]}});
    ++count_;
  }

  ValueId scaled(NodeId before, ValueId addend, float factor) {
    if (factor == 1) return addend;
    const std::string stem = graph_.value(addend).name + "_scaled";
    const ValueId by =
        graph_.add_constant(graph_.unique_value_name(stem + "_by"), Tensor::scalar(factor));
    const ValueId result =
        graph_.add_value(graph_.unique_value_name(stem), graph_.value(addend).type);
    graph_.insert_node(before, {.op = "Mul",
                                .name = graph_.unique_node_name(stem),
                                .inputs = {addend, by},
                                .outputs = {result}});
    return result;
  }

  Graph& graph_;
  int count_ = 0;
};

}  // namespace

int turn_products(Graph& graph) { return Turner(graph).run(); }

}  // namespace nibble
