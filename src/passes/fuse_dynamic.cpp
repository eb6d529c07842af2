// A layer of dynamic quantization is one node, so that it can run on packed weights.
//
// Before: %q, %s, %z = DynamicQuantizeLinear(%x)
//         %i = ConvInteger(%q, %w, %z)          (or MatMulInteger; a zero point of %w may follow)
//         %r = Cast(%i) {to=f32}
//         %k = Mul(%s, %w_scale)
//         %p = Mul(%r, %k)
//         %y = Add(%p, %b)                      (may be absent)
// After:  %y = nibble::DynamicConv(%x, %w, %w_scale, %b)
//
// The arithmetic is the same, number by number.
#include <algorithm>
#include <optional>

#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr int64_t kOnnxFloat = 1;  // TensorProto.DataType.FLOAT

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), editor_(graph) {}

  int run() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (!node.domain.empty()) continue;
      if (node.op == "ConvInteger" || node.op == "MatMulInteger") fused += fuse(id) ? 1 : 0;
    }
    editor_.finish();
    if (fused > 0) graph_.prune();
    return fused;
  }

 private:
  bool is_constant(ValueId id, DType dtype) const {
    return id && graph_.value(id).is_constant() && !graph_.value(id).type.quant &&
           graph_.value(id).data.dtype() == dtype;
  }

  // The one node that reads the value, if it is this ONNX operator.
  std::optional<NodeId> next(ValueId value, std::string_view op) const {
    const auto id = editor_.only_consumer(value);
    if (!id || graph_.node(*id).op != op || !graph_.node(*id).domain.empty()) return std::nullopt;
    return graph_.node(*id).output(0) ? id : std::nullopt;
  }

  static ValueId other(const Node& node, ValueId operand) {
    if (node.inputs.size() != 2) return {};
    return node.inputs[0] == operand ? node.inputs[1] : node.inputs[0];
  }

  // An f32 constant of one number, or of one per output channel where these lie in the result.
  bool is_per_channel(ValueId id, int64_t channels, int behind) const {
    if (!is_constant(id, DType::f32)) return false;
    const Shape& shape = graph_.value(id).data.shape();
    if (shape.elements() == 1) return shape.rank() <= 1;
    const int axis = shape.rank() - 1 - behind;
    return axis >= 0 && shape[axis] == channels && shape.elements() == channels;
  }

  bool fuse(NodeId id) {
    const Node product = graph_.node(id);
    const bool conv = product.op == "ConvInteger";
    if (product.inputs.size() < 3 || !product.input(1) || !product.output(0)) return false;
    const Node* quantize = editor_.producer(product.input(0), "DynamicQuantizeLinear");
    if (quantize == nullptr || quantize->outputs[0] != product.inputs[0] ||
        quantize->output(2) != product.inputs[2] || !quantize->output(1)) {
      return false;
    }
    const ValueId weight = product.inputs[1], zero = product.input(3);
    if (!is_constant(weight, DType::i8) && !is_constant(weight, DType::u8)) return false;
    const Shape& shape = graph_.value(weight).data.shape();
    if (conv ? shape.rank() < 3 : shape.rank() != 2) return false;
    const int64_t channels = shape[conv ? 0 : 1];
    const int behind = conv ? shape.rank() - 2 : 0;
    if (zero &&
        (!graph_.value(zero).is_constant() || (graph_.value(zero).data.elements() != 1 &&
                                               graph_.value(zero).data.elements() != channels))) {
      return false;
    }
    const auto cast = next(product.outputs[0], "Cast");
    if (!cast || graph_.node(*cast).attributes.integer("to", 0) != kOnnxFloat) return false;
    const auto rescale = next(graph_.node(*cast).outputs[0], "Mul");
    if (!rescale) return false;
    const Node* scale =
        editor_.producer(other(graph_.node(*rescale), graph_.node(*cast).outputs[0]), "Mul");
    if (scale == nullptr) return false;
    const ValueId weight_scale = other(*scale, quantize->outputs[1]);
    if (std::ranges::count(scale->inputs, quantize->outputs[1]) != 1 ||
        !is_per_channel(weight_scale, channels, behind)) {
      return false;
    }
    Node fused{.op = conv ? "DynamicConv" : "DynamicMatMul",
               .domain = "nibble",
               .name = product.name,
               .inputs = {quantize->inputs[0], weight, weight_scale}};
    fused.attributes = product.attributes;
    NodeId last = *rescale;
    const auto add = next(graph_.node(*rescale).outputs[0], "Add");
    if (add) {
      const ValueId bias = other(graph_.node(*add), graph_.node(*rescale).outputs[0]);
      if (is_per_channel(bias, channels, behind)) {
        fused.inputs.push_back(bias);
        last = *add;
      }
    }
    if (zero) {
      fused.inputs.resize(4);
      fused.inputs.push_back(zero);
    }
    const ValueId result = graph_.node(last).outputs[0];
    if (graph_.value(result).type.dtype != DType::f32) return false;
    fused.outputs = {result};
    if (last != *rescale) editor_.remove(*rescale);
    editor_.remove(last);
    editor_.remove(*cast);
    editor_.remove(id);
    editor_.insert_before(last, std::move(fused));
    return true;
  }

  Graph& graph_;
  GraphEditor editor_;
};

}  // namespace

int fuse_dynamic(Graph& graph) {
  infer_types(graph);
  return Fuser(graph).run();
}

}  // namespace nibble
