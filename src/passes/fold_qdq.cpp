// QuantizeLinear and DequantizeLinear become types.
//
// Before: %w = DequantizeLinear(%codes:i8, %s, %z)        After: %w:f32[4,8] as i8 (a constant)
// Before: %y = Gemm(%x, %w)                               After: %y:f32[1,8] as u8 = Gemm(%x, %w)
//         %q:u8 = QuantizeLinear(%y, %s, %z)                     readers of %r read %y
//         %r = DequantizeLinear(%q, %s, %z)
//
// Where others read the unrounded %y, too, an Identity with a typed result stands for the pair.
// Scales and zero points may be computed from constants (Constant, Cast, ConstantOfShape, ...).
// A Clip before QuantizeLinear whose limits are codes of fewer bits becomes qmin and qmax.
// What does not fit (integer readers of %q, activations per channel, float8) stays as nodes.
// In bodies likewise, with scales and codes that they capture; a captured value is typed in the
// body as well, which rounds it to that grid (or finds it there).
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>

#include "nibble/error.h"
#include "ops/op.h"
#include "passes/codes_on_the_move.h"
#include "passes/evaluate.h"
#include "passes/every_graph.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr int kMaxChain = 32;  // nodes between a constant and its use as a scale

bool can_store_codes(DType dtype) {
  return is_integer(dtype) && (bits_of(dtype) <= 16 || dtype == DType::i32);
}

// The range of `bits` bits that holds the codes of a constant: symmetric where it can be.
void tighten(QuantParams& quant, const Tensor& codes) {
  if (quant.storage == DType::i32 || codes.elements() == 0) return;
  const std::vector<int32_t> values = unpack_integers(codes);
  auto [low, high] = std::ranges::minmax(values);
  for (int32_t zero : quant.zero_point) {
    low = std::min(low, zero);
    high = std::max(high, zero);
  }
  for (int bits = 2; bits <= bits_of(quant.storage); ++bits) {
    const bool with_sign = is_signed(quant.storage);
    const int32_t most = with_sign ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    const int32_t least = with_sign ? -most - 1 : 0;
    if (low < least || high > most) continue;
    quant.qmin = with_sign && low > least ? least + 1 : least;
    quant.qmax = most;
    return;
  }
}

// Whether it is that operator and has what the operator cannot do without: files may hold less.
bool is_complete(const Node& node, std::string_view op) {
  return node.op == op && node.domain.empty() && node.input(0) && node.input(1) && node.output(0);
}

class Folder {
 public:
  explicit Folder(OpenGraph& scope) : scope_(scope), graph_(*scope.graph), editor_(graph_) {}

  int run() {
    int folded = 0;
    if (scope_.outer != nullptr) take_types_of_captures();
    for (NodeId id : graph_.nodes()) {
      if (is_complete(graph_.node(id), "DequantizeLinear")) folded += fold_constant(id);
    }
    for (NodeId id : graph_.nodes()) {
      if (is_complete(graph_.node(id), "QuantizeLinear")) folded += fold_pair(id);
    }
    editor_.finish();
    if (folded > 0) graph_.prune();
    return folded;
  }

 private:
  void take_types_of_captures();
  Tensor constant_around(OpenGraph::Origin at, int depth) const;
  const Tensor* constant(ValueId id, int depth = 0);
  Tensor evaluated(const Node& node, std::span<const Tensor> inputs, ValueId id) const;
  std::optional<QuantParams> params(const Node& node, DType storage, const Shape& shape);
  std::optional<QuantParams> activation_params(const Node& node);
  DType storage_of(const Node& quantize);
  int fold_constant(NodeId id);
  int fold_pair(NodeId id);
  std::optional<std::vector<NodeId>> matching_dequantizers(const Node& quantize,
                                                           const QuantParams& quant);
  bool passes_codes(const Node& node, DType storage) const;
  bool can_type(ValueId raw, const QuantParams& quant);
  ValueId absorb_clip(ValueId raw, QuantParams& quant);

  OpenGraph& scope_;
  Graph& graph_;
  GraphEditor editor_;
  std::unordered_map<int32_t, Tensor> computed_;  // by value; empty: not constant
};

// Output `id` of the node. What cannot be evaluated is no scale: compile() will say what is wrong.
Tensor Folder::evaluated(const Node& node, std::span<const Tensor> inputs, ValueId id) const {
  try {
    const auto results = evaluate_node(node, graph_.opset(), inputs);
    for (size_t i = 0; results && i < results->size(); ++i) {
      if (node.outputs[i] == id) return (*results)[i];
    }
  } catch (const Error&) {
  }
  return {};
}

// What a body captures has the type that it has around it. The grid is of use to operators that
// read codes.
void Folder::take_types_of_captures() {
  const auto reads_codes = [&](NodeId id) {
    const Node& node = graph_.node(id);
    const OpRow* row = find_op(node.op, node.domain);
    return !node.captures.empty() || (row != nullptr && row->quant != QuantRole::none);
  };
  for (int32_t i = 0; i < graph_.value_count(); ++i) {
    if (editor_.producer({i}) || editor_.is_input({i}) || graph_.value({i}).is_constant()) continue;
    const OpenGraph::Origin origin = scope_.origin({i});
    const Value& value = origin.scope->graph->value(origin.value);
    if (origin.scope == &scope_ || value.is_constant()) continue;
    TensorType& type = graph_.value({i}).type;
    if (!editor_.is_output({i})) {  // of which the file says what it says
      if (type.dtype == DType::undefined) type.dtype = value.type.dtype;
      if (!type.shape.has_rank()) type.shape = value.type.shape;
    }
    if (!type.quant && std::ranges::any_of(editor_.consumers({i}), reads_codes)) {
      type.quant = value.type.quant;
    }
  }
}

// The value of a graph around the body, if it follows from constants, else an empty tensor.
Tensor Folder::constant_around(OpenGraph::Origin at, int depth) const {
  const Graph& graph = *at.scope->graph;
  const Value& value = graph.value(at.value);
  if (value.is_constant()) return value.type.quant ? Tensor() : value.data;
  const auto producer = graph.producer(at.value);
  if (depth > kMaxChain || !producer || !is_pure(graph.node(*producer))) return {};
  const Node& node = graph.node(*producer);
  std::vector<Tensor> inputs;
  for (ValueId input : node.inputs) {
    inputs.push_back(input ? constant_around(at.scope->origin(input), depth + 1) : Tensor());
    if (input && inputs.back().empty()) return {};
  }
  return evaluated(node, inputs, at.value);
}

// The value if it follows from constants, else nullptr.
const Tensor* Folder::constant(ValueId id, int depth) {
  if (!id || depth > kMaxChain) return nullptr;
  const Value& value = graph_.value(id);
  if (value.is_constant()) return value.type.quant ? nullptr : &value.data;
  if (const auto it = computed_.find(id.index); it != computed_.end()) {
    return it->second.empty() ? nullptr : &it->second;
  }
  Tensor result;
  const auto producer = editor_.producer(id);
  if (producer && is_pure(graph_.node(*producer))) {
    const Node& node = graph_.node(*producer);
    std::vector<Tensor> inputs;
    for (ValueId input : node.inputs) {
      const Tensor* known = constant(input, depth + 1);
      if (input && known == nullptr) break;
      inputs.push_back(known == nullptr ? Tensor() : *known);
    }
    if (inputs.size() == node.inputs.size()) result = evaluated(node, inputs, id);
  } else if (!producer && scope_.outer != nullptr && !editor_.is_input(id)) {
    const OpenGraph::Origin origin = scope_.origin(id);
    if (origin.scope != &scope_) result = constant_around(origin, depth);
  }
  const Tensor& kept = computed_[id.index] = std::move(result);
  return kept.empty() ? nullptr : &kept;
}

// Parameters of a QuantizeLinear or DequantizeLinear; nullopt if they are not constant, or do not
// fit.
std::optional<QuantParams> Folder::params(const Node& node, DType storage, const Shape& shape) {
  const Tensor* scale = constant(node.input(1));
  if (scale == nullptr || scale->dtype() != DType::f32 || !can_store_codes(storage)) return {};
  const std::span<const float> scales = scale->data<float>();
  if (scales.empty() ||
      std::ranges::any_of(scales, [](float s) { return !(s > 0) || std::isinf(s); }))
    return {};
  QuantParams quant{.storage = storage,
                    .qmin = static_cast<int32_t>(lowest_of(storage)),
                    .qmax = static_cast<int32_t>(highest_of(storage)),
                    .scale = {scales.begin(), scales.end()},
                    .zero_point = std::vector<int32_t>(scales.size(), 0)};
  if (node.input(2)) {
    const Tensor* zero = constant(node.input(2));
    if (zero == nullptr || zero->dtype() != storage || zero->elements() != scale->elements()) {
      return {};
    }
    quant.zero_point = unpack_integers(*zero);
    // ONNX has none for int32 codes, and their difference might not fit.
    const auto is_zero = [](int32_t z) { return z == 0; };
    if (storage == DType::i32 && !std::ranges::all_of(quant.zero_point, is_zero)) return {};
  }
  const int64_t block_size = node.attributes.integer("block_size", 0);
  if (scale->shape().rank() <= 1 && scales.size() == 1 && block_size == 0) return quant;
  if (!shape.is_static()) return {};
  int64_t axis = node.attributes.integer("axis", 1);
  if (axis < 0) axis += shape.rank();
  if (shape.rank() == 1) axis = 0;
  if (axis < 0 || axis >= shape.rank()) return {};
  quant.axis = static_cast<int>(axis);
  quant.block_size = block_size;
  quant.granularity = block_size > 0 ? Granularity::per_block : Granularity::per_channel;
  Shape expected = block_size > 0 ? shape : Shape{shape[quant.axis]};
  if (block_size > 0) {
    expected[quant.axis] = (shape[quant.axis] - 1) / block_size + 1;
  }
  if (!(scale->shape() == expected)) return {};
  return quant;
}

DType Folder::storage_of(const Node& quantize) {
  if (quantize.input(2)) {
    const Tensor* zero = constant(quantize.input(2));
    return zero == nullptr ? DType::undefined : zero->dtype();
  }
  return quantize.attributes.integer("output_dtype", 0) == 0 ? DType::u8 : DType::undefined;
}

std::optional<QuantParams> Folder::activation_params(const Node& node) {
  const DType storage = storage_of(node);
  if (storage == DType::undefined || storage == DType::i32) return {};
  auto quant = params(node, storage, Shape::unknown_rank());
  if (quant && quant->granularity != Granularity::per_tensor) return {};
  return quant;
}

// The result of DequantizeLinear becomes the constant.
int Folder::fold_constant(NodeId id) {
  const Node& node = graph_.node(id);
  const ValueId input = node.input(0);
  const Tensor* codes = constant(input);
  if (codes == nullptr || !can_store_codes(codes->dtype())) return 0;
  auto quant = params(node, codes->dtype(), codes->shape());
  if (!quant) return 0;
  tighten(*quant, *codes);
  Value& result = graph_.value(node.outputs[0]);
  result.data = *codes;
  result.type = {.dtype = DType::f32, .shape = codes->shape(), .quant = std::move(quant)};
  if (editor_.only_consumer(input) == id) graph_.notes.move_storage(input, node.outputs[0]);
  editor_.remove(id);
  return 1;
}

// A node that passes codes on as they are: between the two there may be any number of them.
bool Folder::passes_codes(const Node& node, DType storage) const {
  if (!node.domain.empty() || node.inputs.size() != 1 || !node.output(0)) return false;
  if (editor_.is_output(node.outputs[0])) return false;
  if (node.op != "Cast") return node.op == "Identity";
  constexpr std::array kCodes = {std::pair(2, DType::u8), std::pair(3, DType::i8),
                                 std::pair(4, DType::u16), std::pair(5, DType::i16)};
  return std::ranges::any_of(kCodes, [&](const auto& row) {
    return row.first == node.attributes.integer("to", 0) && row.second == storage;
  });
}

// All readers of the codes, if all are DequantizeLinear with the same parameters.
std::optional<std::vector<NodeId>> Folder::matching_dequantizers(const Node& quantize,
                                                                 const QuantParams& quant) {
  std::vector<NodeId> found;
  std::vector<ValueId> codes = {quantize.outputs[0]};
  while (!codes.empty()) {
    const ValueId value = codes.back();
    codes.pop_back();
    if (editor_.is_output(value) || editor_.is_captured(value)) return {};
    for (NodeId id : editor_.consumers(value)) {
      const Node& reader = graph_.node(id);
      if (passes_codes(reader, quant.storage)) {
        codes.push_back(reader.outputs[0]);
      } else if (is_complete(reader, "DequantizeLinear") && reader.input(0) == value &&
                 params(reader, quant.storage, Shape::unknown_rank()) == quant) {
        found.push_back(id);
      } else {
        return {};
      }
    }
  }
  if (found.empty()) return {};
  return found;
}

// Nobody reads the unrounded value.
bool Folder::can_type(ValueId raw, const QuantParams& quant) {
  const Value& value = graph_.value(raw);
  if (value.is_constant() || editor_.is_output(raw) || editor_.is_captured(raw) ||
      value.type.quant ||
      (value.type.dtype != DType::f32 && value.type.dtype != DType::undefined)) {
    return false;
  }
  return std::ranges::all_of(editor_.consumers(raw), [&](NodeId id) {
    const Node& reader = graph_.node(id);
    return is_complete(reader, "QuantizeLinear") && reader.input(0) == raw &&
           activation_params(reader) == quant && matching_dequantizers(reader, quant);
  });
}

// If `raw` is a Clip to codes of fewer bits, its input takes its place; where others read that, or
// it lies on a grid of its own, the Clip becomes an Identity with a typed result.
ValueId Folder::absorb_clip(ValueId raw, QuantParams& quant) {
  const Node* clip = editor_.producer(raw, "Clip");
  if (clip == nullptr || !clip->input(0)) return raw;
  const ValueId source = clip->inputs[0];
  const Value& value = graph_.value(source);
  if (value.is_constant()) return raw;
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  const auto limit = [&](size_t i, const char* attribute) {
    if (graph_.opset() < 11) return clip->attributes.real(attribute, kNone);
    const Tensor* known = constant(clip->input(i));
    return known != nullptr && known->dtype() == DType::f32 && known->elements() == 1
               ? known->data<float>()[0]
               : kNone;
  };
  const float low = limit(1, "min") / quant.scale[0] + static_cast<float>(quant.zero_point[0]);
  const float high = limit(2, "max") / quant.scale[0] + static_cast<float>(quant.zero_point[0]);
  const auto is_code = [&](float code) {
    const float nearest = std::nearbyint(code);
    return std::abs(code - nearest) < 1e-3F && nearest >= static_cast<float>(quant.qmin) &&
           nearest <= static_cast<float>(quant.qmax);
  };
  if (!is_code(low) || !is_code(high)) return raw;
  const auto qmin = static_cast<int32_t>(std::nearbyint(low));
  const auto qmax = static_cast<int32_t>(std::nearbyint(high));
  const int32_t codes = qmax - qmin + 1;
  const bool is_power = codes >= 3 && ((codes & (codes - 1)) == 0 || ((codes + 1) & codes) == 0);
  if (!is_power || codes > (1 << (bits_of(quant.storage) - 1))) return raw;
  const NodeId clip_id = *editor_.producer(raw);
  const bool is_free = editor_.only_consumer(source) && !editor_.is_captured(source) &&
                       !value.type.quant && editor_.can_replace(raw, source);
  quant.qmin = qmin;
  quant.qmax = qmax;
  if (!is_free) {
    editor_.remove(clip_id);
    editor_.insert_before(clip_id, {.op = "Identity", .inputs = {source}, .outputs = {raw}});
    return raw;
  }
  editor_.remove(clip_id);
  editor_.replace(raw, source);
  return source;
}

int Folder::fold_pair(NodeId id) {
  if (editor_.is_removed(id)) return 0;
  const Node& node = graph_.node(id);
  const ValueId raw = node.input(0);
  auto quant = activation_params(node);
  if (!raw || !quant) return 0;
  const auto dequantizers = matching_dequantizers(node, *quant);
  if (!dequantizers) return 0;
  if (graph_.value(raw).is_constant() && !graph_.value(raw).type.quant) return 0;

  // Results whose name callers or subgraphs use can only be computed, not replaced.
  ValueId typed = graph_.value(raw).type.quant == quant || can_type(raw, *quant) ? raw : ValueId{};
  std::vector<ValueId> fixed;
  for (NodeId reader : *dequantizers) {
    const ValueId result = graph_.node(reader).outputs[0];
    if (!typed || !editor_.can_replace(result, typed)) fixed.push_back(result);
  }
  if (!typed || !fixed.empty()) {
    const auto needs_name = [&](ValueId result) {
      return editor_.is_output(result) || editor_.is_captured(result);
    };
    if (std::ranges::count_if(fixed, needs_name) > 1) return 0;
    const auto named = std::ranges::find_if(fixed, needs_name);
    typed = named == fixed.end() ? fixed.front() : *named;
    editor_.remove(id);
    for (NodeId reader : *dequantizers) editor_.remove(reader);
    editor_.insert_before(id, {.op = "Identity", .inputs = {raw}, .outputs = {typed}});
    TensorType& type = graph_.value(typed).type;
    if (!type.shape.has_rank()) type.shape = graph_.value(raw).type.shape;
  } else {
    editor_.remove(id);
    if (!graph_.value(raw).type.quant) typed = absorb_clip(raw, *quant);
  }
  for (NodeId reader : *dequantizers) {
    editor_.remove(reader);
    const ValueId result = graph_.node(reader).outputs[0];
    if (result != typed) editor_.replace(result, typed);
  }
  graph_.value(typed).type.dtype = DType::f32;
  graph_.value(typed).type.quant = std::move(quant);
  return 1;
}

}  // namespace

int fold_qdq(Graph& graph) {
  OpenGraphs open(graph);
  int folded = 0, in_bodies = 0;
  for (const auto& scope : open.all()) {
    const int here = move_reals_instead_of_codes(*scope->graph) + Folder(*scope).run();
    (scope->outer == nullptr ? folded : in_bodies) += here;
  }
  open.close(folded + in_bodies > 0);
  if (in_bodies > 0) share_constants_of_bodies(graph);
  return folded + in_bodies;
}

}  // namespace nibble
