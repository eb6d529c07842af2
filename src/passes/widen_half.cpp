// Half precision becomes f32.
//
// Before: input %x:f16   %y:f16 = Conv(%x, %w:f16)   output %y
// After:  input %x:f16   %a = Cast(%x) {to=f32}      %b = Conv(%a, %w:f32)   output %y = Cast(%b)
// {to=f16}
//
// Ranges, quantized types, training and the kernels are f32; f32 holds every number of f16 and
// bf16. Results are those of f32 arithmetic, rounded once at the outputs. Constants remember how
// they were stored (FileNotes::store_as), so that a file need not grow.
#include <algorithm>
#include <array>

#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr int64_t kOnnxFloat = 1, kOnnxHalf = 10, kOnnxBFloat = 16;

bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

// Attributes that name the element type of a result.
constexpr std::array<std::string_view, 4> kTypeAttributes = {"to", "dtype", "output_dtype",
                                                             "output_datatype"};

class Widener {
 public:
  explicit Widener(Graph& graph) : graph_(graph), editor_(graph) {}
  Widener(Graph& body, Widener& owner)
      : graph_(body), editor_(body, owner.editor_), is_body_(true) {}

  int run() {
    if (!is_body_) {
      const std::vector<ValueId> inputs = graph_.inputs, outputs = graph_.outputs;
      for (ValueId input : inputs) widen_input(input);
      for (ValueId output : outputs) widen_output(output);
    }
    for (int32_t i = 0; i < graph_.value_count(); ++i) widen_value({i});
    for (NodeId id : graph_.nodes()) {
      if (std::ranges::find(border_casts_, id) == border_casts_.end()) {
        widen_attributes(graph_.node(id));
      }
      edit_bodies(graph_.node(id), [&](Graph& body) { widened_ += Widener(body, *this).run(); });
    }
    editor_.finish();
    return widened_;
  }

 private:
  bool is_border(ValueId id) const {
    return !is_body_ && (editor_.is_input(id) || editor_.is_output(id));
  }

  void widen_value(ValueId id) {
    const Value& value = graph_.value(id);
    if (!is_half(value.type.dtype) || is_border(id)) return;
    if (value.is_constant()) graph_.value(id).data = convert(value.data, DType::f32);
    graph_.value(id).type.dtype = DType::f32;
    ++widened_;
  }

  void widen_attributes(Node& node) {
    if (node.domain == "nibble") return;
    for (const std::string_view name : kTypeAttributes) {
      const Attribute* attribute = node.attributes.find(name);
      const auto* code = attribute == nullptr ? nullptr : std::get_if<int64_t>(attribute);
      if (code == nullptr || (*code != kOnnxHalf && *code != kOnnxBFloat)) continue;
      node.attributes.set(name, kOnnxFloat);
      ++widened_;
    }
    std::vector<std::pair<std::string, Tensor>> wide;
    for (const auto& [name, attribute] : node.attributes) {
      const auto* tensor = std::get_if<Tensor>(&attribute);
      if (tensor != nullptr && is_half(tensor->dtype())) {
        wide.emplace_back(name, convert(*tensor, DType::f32));
      }
    }
    for (auto& [name, tensor] : wide) node.attributes.set(name, std::move(tensor));
    widened_ += static_cast<int>(wide.size());
  }

  bool is_cast(NodeId id, int64_t to) const {
    const Node& node = graph_.node(id);
    return node.op == "Cast" && node.domain.empty() && node.attributes.integer("to", 0) == to;
  }

  // Readers and bodies read `to` instead.
  void hand_over(ValueId from, ValueId to) {
    for (NodeId reader : editor_.consumers(from)) {
      Node& node = graph_.node(reader);
      if (std::ranges::find(node.captures, from) != node.captures.end()) {
        rename_capture(node, graph_.value(from).name, graph_.value(to).name);
        std::ranges::replace(node.captures, from, to);
      }
      for (size_t i = 0; i < graph_.node(reader).inputs.size(); ++i) {
        if (graph_.node(reader).inputs[i] == from) editor_.set_input(reader, i, to);
      }
    }
  }

  ValueId wide_twin(ValueId id) {
    TensorType type = graph_.value(id).type;
    type.dtype = DType::f32;
    const ValueId twin = editor_.add_value(graph_.value(id).name + "_f32", std::move(type));
    graph_.value(twin).dim_names = graph_.value(id).dim_names;
    return twin;
  }

  static Node cast(ValueId from, ValueId to, int64_t type) {
    Node node{.op = "Cast", .inputs = {from}, .outputs = {to}};
    node.attributes.set("to", type);
    return node;
  }

  void widen_input(ValueId input) {
    if (!is_half(graph_.value(input).type.dtype)) return;
    const std::vector<NodeId> readers = editor_.consumers(input);
    const auto widens = [&](NodeId id) { return is_cast(id, kOnnxFloat); };
    if (std::ranges::all_of(readers, widens)) return;
    const ValueId twin = wide_twin(input);
    hand_over(input, twin);
    editor_.insert_at_front(cast(input, twin, kOnnxFloat));
    ++widened_;
  }

  void widen_output(ValueId output) {
    const DType dtype = graph_.value(output).type.dtype;
    if (!is_half(dtype) || editor_.is_input(output)) return;
    const int64_t code = dtype == DType::f16 ? kOnnxHalf : kOnnxBFloat;
    const auto producer = editor_.producer(output);
    if (!producer && editor_.consumers(output).empty())
      return;  // a constant that nobody else reads
    if (producer && is_cast(*producer, code)) {
      const ValueId source = graph_.node(*producer).inputs[0];
      const bool from_wide = graph_.value(source).type.dtype == DType::f32;
      if (from_wide && editor_.consumers(output).empty()) {
        border_casts_.push_back(*producer);
        return;
      }
    }
    const ValueId twin = wide_twin(output);
    hand_over(output, twin);
    if (!producer) {  // a constant
      graph_.value(twin).data = convert(graph_.value(output).data, DType::f32);
    } else {
      const std::vector<ValueId>& outputs = graph_.node(*producer).outputs;
      const auto i = std::ranges::find(outputs, output) - outputs.begin();
      editor_.set_output(*producer, static_cast<size_t>(i), twin);
      border_casts_.push_back(editor_.insert_after(*producer, cast(twin, output, code)));
    }
    ++widened_;
  }

  Graph& graph_;
  GraphEditor editor_;
  bool is_body_ = false;
  std::vector<NodeId> border_casts_;  // those that give outputs their type already
  int widened_ = 0;
};

}  // namespace

int widen_half(Graph& graph) { return Widener(graph).run(); }

}  // namespace nibble
