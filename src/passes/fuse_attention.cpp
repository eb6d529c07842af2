// Attention between codes becomes one node, which reads queries, keys and values where their
// projections left them.
//
// Before: %q = Transpose(Reshape(%a))      %k = Transpose(Reshape(%b))      %v =
// Transpose(Reshape(%c))
//         %s = MatMul(%q, %k)              %d = Div(%s, 8)                  %m = Add(%d, %mask)
//         %p:u8 = Softmax(%m)              %o = MatMul(%p, %v)              %y =
//         Reshape(Transpose(%o))
// After:  %y = nibble::HeadAttention(%a, %b, %c, %mask)
//
// q, k, v and p have grids; scores have none. Transposes and Reshapes before q, k and v, and behind
// o, become steps in memory as far as one step to each axis says them; values between them take the
// grid of the last one, which rounds each element before it is moved instead of behind. Scale (Mul
// or Div by a number) and mask may be left out.
#include <algorithm>
#include <functional>
#include <optional>

#include "ops/attention/head_attention.h"
#include "ops/form.h"
#include "ops/roles.h"
#include "ops/support/axes.h"
#include "passes/formula.h"
#include "passes/head_view.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// A value, and how the operand is seen in it.
struct Operand {
  ValueId origin;
  HeadView view;
};

struct Scores {
  const Node* product = nullptr;
  float scale = 1;
  ValueId mask;
};

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), editor_(graph), formula_(graph, editor_) {}

  int run() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.op == "Softmax" && node.domain.empty()) fused += fuse(node) ? 1 : 0;
    }
    editor_.finish();
    if (fused > 0) graph_.prune();
    return fused;
  }

 private:
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  std::optional<QuantParams> grid(ValueId id) const {
    const auto form = id ? codes_form(type(id), DType::u8) : std::nullopt;
    return form ? form->grid : std::nullopt;
  }

  bool is_last_axis(const Node& softmax) const {
    const int rank = type(softmax.inputs[0]).shape.rank();
    const int64_t axis = softmax.attributes.integer("axis", graph_.opset() >= 13 ? -1 : 1);
    return rank > 0 && (axis == -1 || axis == rank - 1);
  }

  // The product before scale and mask.
  std::optional<Scores> scores_of(ValueId id) const {
    Scores scores;
    if (const Node* add = formula_.inner(id, "Add")) {
      for (const size_t i : {size_t{0}, size_t{1}}) {
        const ValueId mask = add->inputs[1 - i];
        if (type(mask).dtype != DType::f32) continue;
        if (find_product(add->inputs[i], scores) && type(add->inputs[i]).shape == type(id).shape) {
          scores.mask = mask;
          return scores;
        }
      }
      return std::nullopt;
    }
    return find_product(id, scores) ? std::optional(scores) : std::nullopt;
  }

  bool find_product(ValueId id, Scores& scores) const {
    scores = {};
    for (const char* op : {"Mul", "Div"}) {
      const Node* node = formula_.inner(id, op);
      if (node == nullptr) continue;
      const bool divides = node->op == "Div";
      for (const size_t i : {size_t{1}, size_t{0}}) {
        const auto number = formula_.number(node->inputs[i]);
        if (!number || *number == 0 || (divides && i == 0)) continue;
        scores.scale = static_cast<float>(divides ? 1 / *number : *number);
        id = node->inputs[1 - i];
        break;
      }
      break;
    }
    scores.product = formula_.inner(id, "MatMul");
    return scores.product != nullptr;
  }

  bool is_move(const Node& node) const {
    if (!node.domain.empty() || node.inputs.empty() || !node.inputs[0]) return false;
    return node.op == "Transpose" || is_view(node, type(node.inputs[0]).shape);
  }

  static std::optional<HeadView> moved(const HeadView& view, const Node& node, const Shape& to) {
    if (node.op == "Transpose") {
      return view.transposed(transpose_order(node, static_cast<int>(view.axes.size())));
    }
    return view.reshaped(to);
  }

  // The value furthest up in which the operand can be seen, so that `accepts`; what lies between
  // takes its grid.
  std::optional<Operand> find_operand(ValueId value,
                                      const std::function<bool(const HeadView&)>& accepts) {
    std::vector<ValueId> values = {value};
    std::vector<const Node*> moves;
    for (;;) {
      const auto producer = editor_.producer(values.back());
      if (!producer || !is_move(graph_.node(*producer))) break;
      const ValueId from = graph_.node(*producer).inputs[0];
      const TensorType& have = type(from);
      const bool same = have.quant == type(value).quant;
      const bool rounds_alone = !have.quant && have.dtype == DType::f32 && editor_.producer(from) &&
                                editor_.only_consumer(from) == producer;
      if (!have.shape.is_static() || !(same || rounds_alone)) break;
      values.push_back(from);
      moves.push_back(&graph_.node(*producer));
    }
    for (size_t up = moves.size() + 1; up-- > 0;) {
      std::optional<HeadView> view = HeadView::whole(type(values[up]).shape);
      for (size_t i = up; view && i-- > 0;) view = moved(*view, *moves[i], type(values[i]).shape);
      if (!view || !accepts(*view)) continue;
      for (size_t i = 0; i <= up; ++i) graph_.value(values[i]).type.quant = type(value).quant;
      return Operand{values[up], *view};
    }
    return std::nullopt;
  }

  // Batch and heads before the last two axes, of which one counts rows and the other one is
  // adjacent in memory.
  static bool adjacent(const HeadView& view, size_t from_end) {
    const HeadView::Axis& axis = view.axes[view.axes.size() - from_end];
    return axis.extent == 1 || axis.step == 1;
  }
  static HeadRows rows(const HeadView& view, size_t row_from_end) {
    const size_t rank = view.axes.size();
    HeadRows rows{.row = view.axes[rank - row_from_end].step};
    if (rank > 2) rows.head = view.axes[rank - 3].step;
    if (rank > 3) rows.batch = view.axes[rank - 4].step;
    return rows;
  }
  static bool same_heads(const Shape& a, const Shape& b) {
    return a.rank() == b.rank() && a.rank() >= 2 && a.rank() <= 4 &&
           std::equal(a.begin(), a.end() - 2, b.begin());
  }

  // The last value of the moves behind the product, in which the product's elements can be seen.
  struct Result {
    ValueId value;
    HeadView view;
    std::vector<NodeId> moves;
  };
  Result find_result(ValueId product) const {
    Result result{product, HeadView::whole(type(product).shape), {}};
    std::vector<NodeId> moves;
    std::vector<ValueId> values = {product};
    for (;;) {
      const auto next = editor_.only_consumer(values.back());
      if (!next || !is_move(graph_.node(*next)) || graph_.node(*next).input(0) != values.back())
        break;
      const ValueId to = graph_.node(*next).output(0);
      if (!to || !type(to).shape.is_static() || !(type(to).quant == type(product).quant)) break;
      moves.push_back(*next);
      values.push_back(to);
      std::optional<HeadView> view = HeadView::whole(type(to).shape);
      for (size_t i = moves.size(); view && i-- > 0;) {
        view = moved_back(*view, graph_.node(moves[i]), type(values[i]).shape);
      }
      if (view && adjacent(*view, 1)) result = {to, *view, moves};
    }
    return result;
  }

  static std::optional<HeadView> moved_back(const HeadView& view, const Node& node,
                                            const Shape& from) {
    if (node.op != "Transpose") return view.reshaped(from);
    const std::vector<int64_t> order = transpose_order(node, from.rank());
    std::vector<int64_t> back(order.size());
    for (size_t i = 0; i < order.size(); ++i) {
      back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    }
    return view.transposed(back);
  }

  bool fuse(const Node& softmax) {
    const ValueId p = softmax.output(0);
    const auto p_grid = grid(p);
    if (!p_grid || !formula_.is_inner(softmax.input(0)) || !is_last_axis(softmax)) return false;
    const auto second = editor_.only_consumer(p);
    const auto scores = scores_of(softmax.input(0));
    if (!second || !scores || graph_.node(*second).op != "MatMul" ||
        !graph_.node(*second).domain.empty() || graph_.node(*second).input(0) != p) {
      return false;
    }
    const ValueId q = scores->product->input(0), k = scores->product->input(1);
    const ValueId v = graph_.node(*second).input(1), out = graph_.node(*second).output(0);
    if (!grid(q) || !grid(k) || !grid(v)) return false;
    const Shape &q_shape = type(q).shape, &k_shape = type(k).shape, &v_shape = type(v).shape;
    for (const Shape* shape : {&q_shape, &k_shape, &v_shape}) {
      if (!shape->is_static() || shape->elements() == 0 || !same_heads(q_shape, *shape))
        return false;
    }
    const int rank = q_shape.rank();
    HeadAttention attention{.shape = {.batch = rank > 3 ? q_shape[0] : 1,
                                      .heads = rank > 2 ? q_shape[rank - 3] : 1,
                                      .queries = q_shape[rank - 2],
                                      .keys = k_shape[rank - 1],
                                      .size = q_shape[rank - 1],
                                      .value_size = v_shape[rank - 1]},
                            .scale = scores->scale,
                            .p = *p_grid};
    AttentionShape& shape = attention.shape;
    if (std::max(shape.keys, shape.size) > kMostKeys ||
        (scores->mask && !mask_rows(shape, type(scores->mask).shape))) {
      return false;
    }
    const auto last_is_adjacent = [](const HeadView& view) { return adjacent(view, 1); };
    const auto size_is_adjacent = [](const HeadView& view) { return adjacent(view, 2); };
    const auto keys = find_operand(k, size_is_adjacent);
    const auto queries = keys ? find_operand(q, last_is_adjacent) : std::nullopt;
    const auto values = queries ? find_operand(v, last_is_adjacent) : std::nullopt;
    if (!values) return false;
    const Result result = find_result(out);
    shape.q = rows(queries->view, 2);
    shape.k = rows(keys->view, 1);
    shape.v = rows(values->view, 2);
    shape.out = rows(result.view, 2);
    Node node{.op = "HeadAttention",
              .domain = "nibble",
              .name = softmax.name,
              .inputs = {queries->origin, keys->origin, values->origin},
              .outputs = {result.value}};
    if (scores->mask) node.inputs.push_back(scores->mask);
    write_attributes(attention, node);
    const Shape& given = type(result.value).shape;
    node.attributes.set("shape", std::vector<int64_t>(given.begin(), given.end()));
    editor_.remove(*second);
    for (const NodeId move : result.moves) editor_.remove(move);
    editor_.insert_before(*second, std::move(node));
    return true;
  }

  static constexpr int64_t kMostKeys = 33025;  // QProduct::kMaxDepth

  Graph& graph_;
  GraphEditor editor_;
  Formula formula_;
};

}  // namespace

int fuse_attention(Graph& graph) {
  infer_types(graph);
  return Fuser(graph).run();
}

}  // namespace nibble
