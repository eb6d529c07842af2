// Codes that are moved between QuantizeLinear and DequantizeLinear: reals are moved instead, so
// that there is a pair before and a pair behind, which fold_qdq makes types of.
//
// Before: %q:u8 = QuantizeLinear(%x, %s, %z)      After: %q:u8 = QuantizeLinear(%x, %s, %z)
//         %t:u8 = Transpose(%q)                          %r = DequantizeLinear(%q, %s, %z)
//         %y = DequantizeLinear(%t, %s, %z)              %m = Transpose(%r)
//                                                        %t:u8 = QuantizeLinear(%m, %s, %z)
//                                                        %y = DequantizeLinear(%t, %s, %z)
//
// The same codes: quantizing what was dequantized with the same parameters gives the code back.
// Only where all readers of the codes move or dequantize them: else the codes are what is wanted.
#include "passes/codes_on_the_move.h"

#include <algorithm>
#include <cstring>

#include "ops/op.h"
#include "passes/graph_editor.h"

namespace nibble {
namespace {

class Mover {
 public:
  explicit Mover(Graph& graph) : graph_(graph), editor_(graph) {}

  int run() {
    int moved = 0;
    for (NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.op != "QuantizeLinear" || !node.domain.empty() || !node.output(0)) continue;
      if (!is_one(node.input(1)) || (node.input(2) && !is_one(node.input(2)))) continue;
      moves_.clear();
      if (!find_moves(node, node.outputs[0])) continue;
      const Node quantize = node;
      for (NodeId move : moves_) rewrite(move, quantize);
      moved += static_cast<int>(moves_.size());
    }
    editor_.finish();
    return moved;
  }

 private:
  bool is_one(ValueId id) const {
    if (!id) return false;
    const Shape& shape = graph_.value(id).type.shape;
    return shape.is_static() && shape.elements() == 1;
  }

  bool same_value(ValueId a, ValueId b) const {
    if (a == b || !a || !b) return a == b;
    const Value &x = graph_.value(a), &y = graph_.value(b);
    return x.is_constant() && y.is_constant() && !x.type.quant && !y.type.quant &&
           x.data.dtype() == y.data.dtype() && x.data.bytes() == y.data.bytes() &&
           std::memcmp(x.data.raw(), y.data.raw(), x.data.bytes()) == 0;
  }

  // Input 0 is all that it moves, and it writes nothing of its own (a Pad writes a code).
  static bool moves_codes(const Node& node) {
    const OpRow* row = find_op(node.op, node.domain);
    return row != nullptr && row->quant == QuantRole::same_codes && !row->kernels.rows.empty();
  }

  // Whether all readers of the codes dequantize or move them; what moves them goes into moves_.
  bool find_moves(const Node& quantize, ValueId codes) {
    if (editor_.is_output(codes) || editor_.is_captured(codes)) return false;
    return std::ranges::all_of(editor_.consumers(codes), [&](NodeId id) {
      const Node& reader = graph_.node(id);
      if (reader.op == "DequantizeLinear" && reader.domain.empty()) {
        return reader.input(0) == codes && same_value(reader.input(1), quantize.input(1)) &&
               same_value(reader.input(2), quantize.input(2));
      }
      const auto reads = std::ranges::count(reader.inputs, codes);
      if (!moves_codes(reader) || reader.input(0) != codes || reads != 1) return false;
      if (reader.op == "MaxPool" && reader.output(1)) return false;           // indices
      if (reader.op == "Pad" && reader.attributes.has("pads")) return false;  // of old opsets
      moves_.push_back(id);
      return std::ranges::all_of(
          reader.outputs, [&](ValueId output) { return !output || find_moves(quantize, output); });
    });
  }

  NodeId between(const char* op, ValueId from, ValueId to, const Node& quantize, NodeId at) {
    Node node{.op = op,
              .name = editor_.unique_node_name(graph_.node(at).name + "_" + op),
              .inputs = {from, quantize.input(1)},
              .outputs = {to}};
    if (quantize.input(2)) node.inputs.push_back(quantize.input(2));
    return std::string_view(op) == "QuantizeLinear" ? editor_.insert_after(at, std::move(node))
                                                    : editor_.insert_before(at, std::move(node));
  }

  ValueId real_of(ValueId codes, const Node& quantize) {
    const Value& value = graph_.value(codes);
    const DType dtype = graph_.value(quantize.inputs[1]).type.dtype;
    return editor_.add_value(value.name + "_real",
                             {.dtype = dtype, .shape = value.type.shape, .quant = {}});
  }

  void dequantize_input(NodeId move, size_t input, const Node& quantize) {
    const ValueId codes = graph_.node(move).inputs[input];
    const ValueId real = real_of(codes, quantize);
    between("DequantizeLinear", codes, real, quantize, move);
    editor_.set_input(move, input, real);
  }

  void rewrite(NodeId move, const Node& quantize) {
    if (graph_.node(move).op == "Pad") give_padding(move, quantize);
    dequantize_input(move, 0, quantize);
    const std::vector<ValueId> outputs = graph_.node(move).outputs;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i]) continue;
      const ValueId real = real_of(outputs[i], quantize);
      editor_.set_output(move, i, real);
      between("QuantizeLinear", real, outputs[i], quantize, move);
    }
  }

  // The code that is written becomes a real, too. Left out it is code 0, which need not stand for
  // 0.
  void give_padding(NodeId move, const Node& quantize) {
    const Node& pad = graph_.node(move);
    if (pad.attributes.text("mode", "constant") != "constant") return;
    if (!pad.input(2)) {
      const ValueId zero_point = quantize.input(2);
      const DType dtype = zero_point ? graph_.value(zero_point).type.dtype : DType::u8;
      editor_.set_input(move, 2, editor_.add_constant(pad.name + "_value", Tensor(dtype, {})));
    }
    dequantize_input(move, 2, quantize);
  }

  Graph& graph_;
  GraphEditor editor_;
  std::vector<NodeId> moves_;
};

}  // namespace

int move_reals_instead_of_codes(Graph& graph) { return Mover(graph).run(); }

}  // namespace nibble
