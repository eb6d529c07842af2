// LayerNormalization as exporters write it before opset 17 becomes one node, and takes in the sum
// before it.
//
// Before: %m = ReduceMean(%x)     %c = Sub(%x, %m)      %q = Pow(%c, 2)       %v = ReduceMean(%q)
//         %e = Add(%v, epsilon)   %s = Sqrt(%e)         %n = Div(%c, %s)
//         %g = Mul(%n, %gain)     %y = Add(%g, %bias)
// After:  %y = LayerNormalization(%x, %gain, %bias)
//
// Before: %s = Add(%x, %r)        %y = LayerNormalization(%s, %gain, %bias)
// After:  %y, %s = nibble::AddLayerNormalization(%x, %r, %gain, %bias)      (%s only where others
// read it)
#include <optional>

#include "ops/support/axes.h"
#include "passes/formula.h"
#include "passes/pass.h"

namespace nibble {
namespace {

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), editor_(graph), formula_(graph, editor_) {}

  int run() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.op == "Sqrt" && node.domain.empty()) fused += compose(id) ? 1 : 0;
    }
    editor_.finish();
    return fused;
  }

  int take_in_sums() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.op == "LayerNormalization" && node.domain.empty()) fused += take_in_sum(id) ? 1 : 0;
    }
    editor_.finish();
    return fused;
  }

 private:
  // What the mean over the last axis is of; no value if it is none that keeps its axis.
  ValueId mean_of(ValueId id) const {
    const Node* mean = formula_.inner(id, "ReduceMean");
    if (mean == nullptr || mean->attributes.integer("keepdims", 1) == 0) return {};
    std::vector<int64_t> axes = mean->attributes.integers("axes");
    if (mean->input(1)) {
      if (!graph_.value(mean->inputs[1]).is_constant()) return {};
      axes = to_int64s(graph_.value(mean->inputs[1]).data);
    }
    const Shape& shape = graph_.value(mean->inputs[0]).type.shape;
    const bool last = axes.size() == 1 && shape.has_rank() && shape.rank() > 0 &&
                      (axes[0] == -1 || axes[0] == shape.rank() - 1);
    return last ? mean->inputs[0] : ValueId{};
  }

  // What `id` is the distance of, from its mean.
  ValueId centred(ValueId id) const {
    const Node* sub = formula_.inner(id, "Sub");
    return sub != nullptr && mean_of(sub->input(1)) == sub->input(0) ? sub->inputs[0] : ValueId{};
  }

  // x, if the value is the square of its distance from its mean.
  ValueId squared(ValueId id) const {
    if (const Node* pow = formula_.inner(id, "Pow")) {
      return formula_.is_number(pow->input(1), 2) ? centred(pow->input(0)) : ValueId{};
    }
    const Node* mul = formula_.inner(id, "Mul");
    return mul != nullptr && mul->input(0) == mul->input(1) ? centred(mul->input(0)) : ValueId{};
  }

  // The one reader of `id`, if it is this operator, and its other operand one f32 for each of
  // `length`.
  struct Affine {
    NodeId node;
    ValueId parameter;
  };
  std::optional<Affine> affine(ValueId id, std::string_view op, int64_t length) const {
    const auto next = formula_.is_inner(id) ? editor_.only_consumer(id) : std::nullopt;
    if (!next || graph_.node(*next).op != op || !graph_.node(*next).domain.empty()) {
      return std::nullopt;
    }
    const ValueId parameter = Formula::other(graph_.node(*next), id);
    if (!parameter || !graph_.value(parameter).is_constant()) return std::nullopt;
    const TensorType& type = graph_.value(parameter).type;
    if (type.dtype != DType::f32 || type.shape.rank() != 1 || type.shape[0] != length) {
      return std::nullopt;
    }
    return Affine{*next, parameter};
  }

  bool compose(NodeId sqrt) {
    const Node* add = formula_.inner(graph_.node(sqrt).input(0), "Add");
    if (add == nullptr || !formula_.is_inner(graph_.node(sqrt).output(0))) return false;
    const bool first = formula_.number(add->inputs[0]).has_value();
    const auto epsilon = formula_.number(add->inputs[first ? 0 : 1]);
    const ValueId x = squared(mean_of(add->inputs[first ? 1 : 0]));
    const auto div = editor_.only_consumer(graph_.node(sqrt).output(0));
    if (!epsilon || !x || !div || graph_.node(*div).op != "Div" || graph_.node(*div).clamp.any() ||
        centred(graph_.node(*div).input(0)) != x) {
      return false;
    }
    const Shape& shape = graph_.value(x).type.shape;
    const int64_t length = shape[shape.rank() - 1];
    const auto gain = affine(graph_.node(*div).output(0), "Mul", length);
    if (!gain || graph_.node(gain->node).clamp.any()) return false;
    const auto bias = affine(graph_.node(gain->node).output(0), "Add", length);
    if (!bias || graph_.node(bias->node).clamp.any()) return false;
    Node norm{.op = "LayerNormalization",
              .name = graph_.node(*div).name,
              .inputs = {x, gain->parameter, bias->parameter},
              .outputs = {graph_.node(bias->node).output(0)}};
    norm.attributes.set("axis", int64_t{-1});
    norm.attributes.set("epsilon", static_cast<float>(*epsilon));
    editor_.remove(bias->node);
    editor_.insert_before(bias->node, std::move(norm));
    return true;
  }

  bool take_in_sum(NodeId id) {
    Node norm = graph_.node(id);
    const Node* add = formula_.inner(norm.input(0), "Add");
    if (add == nullptr || norm.output(1) || norm.output(2)) return false;
    ValueId data = add->input(0), addend = add->input(1);
    const Shape& shape = graph_.value(norm.inputs[0]).type.shape;
    if (!shape.is_static() || shape.elements() == 0) return false;
    const int axis = normalize_axis(norm.attributes.integer("axis", -1), shape.rank());
    for (size_t i = 1; i < norm.inputs.size(); ++i) {
      const Value* parameter = norm.inputs[i] ? &graph_.value(norm.inputs[i]) : nullptr;
      if (parameter != nullptr &&
          (!parameter->is_constant() ||
           parameter->data.elements() != shape.elements(axis, shape.rank()))) {
        return false;
      }
    }
    if (!(graph_.value(data).type.shape == shape) || !(graph_.value(addend).type.shape == shape)) {
      return false;
    }
    // What may be read as codes comes second.
    if (graph_.value(data).type.quant && !graph_.value(addend).type.quant) std::swap(data, addend);
    norm.op = "AddLayerNormalization";
    norm.domain = "nibble";
    norm.inputs.insert(norm.inputs.begin() + 1, addend);
    norm.inputs[0] = data;
    norm.outputs.resize(1);
    const ValueId sum = graph_.node(id).inputs[0];
    const NodeId adding = *editor_.producer(sum);
    if (!editor_.only_consumer(sum)) norm.outputs.push_back(sum);
    editor_.remove(adding);
    editor_.remove(id);
    // Where the sum stood: others may read it from there on.
    editor_.insert_before(adding, std::move(norm));
    return true;
  }

  Graph& graph_;
  GraphEditor editor_;
  Formula formula_;
};

}  // namespace

int fuse_layer_norm(Graph& graph) {
  infer_types(graph);
  int fused = Fuser(graph).run();
  if (fused > 0) graph.prune();
  fused += Fuser(graph).take_in_sums();
  return fused;
}

}  // namespace nibble
