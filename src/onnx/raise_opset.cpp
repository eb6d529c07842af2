#include "onnx/raise_opset.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "passes/graph_editor.h"

namespace nibble {
namespace {

class Raiser {
 public:
  Raiser(Graph& graph, int opset)
      : graph_(graph), editor_(graph), from_(graph.opset()), to_(opset) {}
  Raiser(Graph& body, Raiser& owner)
      : graph_(body), editor_(body, owner.editor_), from_(owner.from_), to_(owner.to_) {}

  void run() {
    for (NodeId id : graph_.nodes()) {
      with_context([&] { return describe(graph_.node(id)); },
                   [&] {
                     edit_bodies(graph_.node(id), [&](Graph& body) { Raiser(body, *this).run(); });
                     if (graph_.node(id).domain.empty()) raise(id);
                   });
    }
    editor_.finish();
    graph_.opsets[""] = to_;
  }

 private:
  struct Rule {
    std::string_view op;
    int opset;  // where the form changed
    void (Raiser::*convert)(NodeId);
  };
  static std::span<const Rule> rules();

  void raise(NodeId id);
  [[noreturn]] void refuse(NodeId id);
  void axes_to_input(NodeId id) { integers_to_input(id, "axes", 1); }
  void split_to_input(NodeId id) { integers_to_input(id, "split", 1); }
  void count_split(NodeId id);
  void pads_to_input(NodeId id);
  void limits_to_input(NodeId id);
  void slice_to_input(NodeId id);
  void k_to_input(NodeId id);
  void ratio_to_input(NodeId id);
  void last_axis_only(NodeId id);
  void rename_scatter(NodeId id) { graph_.node(id).op = "ScatterElements"; }
  void inference_only(NodeId id);
  void no_tf_half_pixel(NodeId id);
  void upsample_to_resize(NodeId id);
  void name_resizing(NodeId id);
  void axis_to_input(NodeId id);
  void scale_channels(NodeId id);
  void flatten_first(NodeId id, int64_t axis);
  const Tensor* constant(ValueId id) const;
  void name_half_pixel(NodeId id);
  void rename_grid_mode(NodeId id);
  void integers_to_input(NodeId id, const char* attribute, size_t input);
  void real_to_input(NodeId id, const char* attribute, size_t input);
  int rank_of(ValueId id) const;

  Graph& graph_;
  GraphEditor editor_;
  int from_, to_;
};

std::span<const Raiser::Rule> Raiser::rules() {
  static constexpr std::array kRules = {
      Rule{"BatchNormalization", 9, &Raiser::inference_only},
      Rule{"Scan", 9, &Raiser::refuse},
      Rule{"Upsample", 10, &Raiser::upsample_to_resize},
      Rule{"Slice", 10, &Raiser::slice_to_input},
      Rule{"TopK", 10, &Raiser::k_to_input},
      Rule{"Resize", 11, &Raiser::name_resizing},
      Rule{"Clip", 11, &Raiser::limits_to_input},
      Rule{"Pad", 11, &Raiser::pads_to_input},
      Rule{"Scatter", 11, &Raiser::rename_scatter},
      Rule{"Dropout", 12, &Raiser::ratio_to_input},
      Rule{"Softmax", 13, &Raiser::last_axis_only},
      Rule{"LogSoftmax", 13, &Raiser::last_axis_only},
      Rule{"Hardmax", 13, &Raiser::last_axis_only},
      Rule{"Squeeze", 13, &Raiser::axes_to_input},
      Rule{"Unsqueeze", 13, &Raiser::axes_to_input},
      Rule{"ReduceSum", 13, &Raiser::axes_to_input},
      Rule{"Split", 13, &Raiser::split_to_input},
      Rule{"Resize", 13, &Raiser::no_tf_half_pixel},
      Rule{"RoiAlign", 16, &Raiser::name_half_pixel},
      Rule{"Split", 18, &Raiser::count_split},
      Rule{"ReduceMax", 18, &Raiser::axes_to_input},
      Rule{"ReduceMin", 18, &Raiser::axes_to_input},
      Rule{"ReduceMean", 18, &Raiser::axes_to_input},
      Rule{"ReduceProd", 18, &Raiser::axes_to_input},
      Rule{"ReduceL1", 18, &Raiser::axes_to_input},
      Rule{"ReduceL2", 18, &Raiser::axes_to_input},
      Rule{"ReduceLogSum", 18, &Raiser::axes_to_input},
      Rule{"ReduceLogSumExp", 18, &Raiser::axes_to_input},
      Rule{"ReduceSumSquare", 18, &Raiser::axes_to_input},
      Rule{"GridSample", 20, &Raiser::rename_grid_mode},
      Rule{"DFT", 20, &Raiser::axis_to_input},
      Rule{"GroupNormalization", 21, &Raiser::scale_channels},
  };
  return kRules;
}

void Raiser::raise(NodeId id) {
  for (const Rule& rule : rules()) {
    if (rule.op == graph_.node(id).op && rule.opset > from_ && rule.opset <= to_) {
      (this->*rule.convert)(id);
    }
  }
}

void Raiser::refuse(NodeId) {
  fail(ErrorCode::unsupported,
       "the operator changed its meaning between opset {} and {}, which the exported types need",
       from_, to_);
}

int Raiser::rank_of(ValueId id) const { return id ? graph_.value(id).type.shape.rank() : -1; }

void Raiser::integers_to_input(NodeId id, const char* attribute, size_t input) {
  if (!graph_.node(id).attributes.has(attribute)) return;
  const std::vector<int64_t> values = graph_.node(id).attributes.integers(attribute);
  const ValueId constant =
      editor_.add_constant(graph_.node(id).name + "_" + attribute,
                           Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  editor_.set_input(id, input, constant);
  graph_.node(id).attributes.erase(attribute);
}

void Raiser::real_to_input(NodeId id, const char* attribute, size_t input) {
  if (!graph_.node(id).attributes.has(attribute)) return;
  Tensor value = Tensor::scalar(graph_.node(id).attributes.real(attribute, 0));
  const DType dtype = graph_.value(graph_.node(id).inputs[0]).type.dtype;
  if (is_float(dtype) && graph_.node(id).op != "Dropout") value = convert(value, dtype);
  editor_.set_input(id, input, editor_.add_constant(graph_.node(id).name + "_" + attribute, value));
  graph_.node(id).attributes.erase(attribute);
}

void Raiser::count_split(NodeId id) {
  Node& node = graph_.node(id);
  if (node.input(1)) return;
  node.attributes.set("num_outputs", static_cast<int64_t>(node.outputs.size()));
}

void Raiser::pads_to_input(NodeId id) {
  integers_to_input(id, "pads", 1);
  real_to_input(id, "value", 2);
}

void Raiser::limits_to_input(NodeId id) {
  real_to_input(id, "min", 1);
  real_to_input(id, "max", 2);
}

void Raiser::slice_to_input(NodeId id) {
  integers_to_input(id, "starts", 1);
  integers_to_input(id, "ends", 2);
  integers_to_input(id, "axes", 3);
}

void Raiser::k_to_input(NodeId id) {
  const int64_t k = graph_.node(id).attributes.required_integer("k");
  graph_.node(id).attributes.erase("k");
  editor_.set_input(
      id, 1, editor_.add_constant(graph_.node(id).name + "_k", Tensor::of<int64_t>({1}, {k})));
}

void Raiser::ratio_to_input(NodeId id) { real_to_input(id, "ratio", 1); }

// Before opset 13 these flattened everything behind the axis: the same where only extents of 1
// follow it.
void Raiser::last_axis_only(NodeId id) {
  Node& node = graph_.node(id);
  const int rank = rank_of(node.input(0));
  int64_t axis = node.attributes.integer("axis", 1);
  if (axis == -1) return;
  if (axis < 0) axis += rank;
  if (rank < 0 || axis < 0 || axis >= rank) {
    return flatten_first(id, node.attributes.integer("axis", 1));
  }
  const Shape& shape = graph_.value(node.inputs[0]).type.shape;
  for (int i = static_cast<int>(axis) + 1; i < rank; ++i) {
    if (shape[i] != 1) return flatten_first(id, axis);
  }
  node.attributes.set("axis", axis);
}

// x -> Flatten -> the node -> Reshape(., Shape(x))
void Raiser::flatten_first(NodeId id, int64_t axis) {
  const Node node = graph_.node(id);
  if (!node.input(0) || !node.output(0)) refuse(id);
  const std::string stem = graph_.value(node.outputs[0]).name;
  const DType dtype = graph_.value(node.inputs[0]).type.dtype;
  const auto matrix = [&](const char* suffix) {
    return editor_.add_value(stem + suffix, {.dtype = dtype, .shape = Shape::unknown_rank()});
  };
  Node flatten{.op = "Flatten", .inputs = {node.inputs[0]}, .outputs = {matrix("_flat")}};
  flatten.attributes.set("axis", axis);
  Node shape{.op = "Shape", .inputs = {node.inputs[0]}};
  shape.outputs = {editor_.add_value(stem + "_shape", {.dtype = DType::i64})};
  const ValueId result = matrix("_of_flat");
  Node reshape{.op = "Reshape", .inputs = {result, shape.outputs[0]}, .outputs = node.outputs};
  const ValueId flat = flatten.outputs[0];
  editor_.insert_before(id, std::move(flatten));
  editor_.insert_before(id, std::move(shape));
  editor_.insert_after(id, std::move(reshape));
  editor_.set_input(id, 0, flat);
  editor_.set_output(id, 0, result);
  graph_.node(id).attributes.set("axis", int64_t{-1});
}

const Tensor* Raiser::constant(ValueId id) const {
  if (!id || !graph_.value(id).is_constant() || graph_.value(id).type.quant) return nullptr;
  return &graph_.value(id).data;
}

// Scales were an attribute in opset 7, input 1 later.
void Raiser::upsample_to_resize(NodeId id) {
  Node& node = graph_.node(id);
  if (node.attributes.has("scales")) {
    const std::vector<float> scales = node.attributes.reals("scales");
    const ValueId value = editor_.add_constant(
        node.name + "_scales", Tensor::of<float>({static_cast<int64_t>(scales.size())}, scales));
    editor_.set_input(id, 1, value);
    graph_.node(id).attributes.erase("scales");
  }
  if (node.attributes.text("mode", "nearest") == "bilinear") {
    node.attributes.set("mode", std::string("linear"));
  }
  node.op = "Resize";
}

// What was the only way now has names: positions are multiples of the scale; the nearest is below
// when growing, above when shrinking.
void Raiser::name_resizing(NodeId id) {
  const ValueId scales = graph_.node(id).input(1);
  editor_.set_input(id, 2, scales);
  // Opsets 11 and 12 do not allow to leave out the region of interest.
  editor_.set_input(id, 1,
                    editor_.add_constant(graph_.node(id).name + "_roi", Tensor(DType::f32, {0})));
  Node& node = graph_.node(id);
  node.attributes.set("coordinate_transformation_mode", std::string("asymmetric"));
  if (node.attributes.text("mode", "nearest") != "nearest") return;
  std::string nearest = "floor";  // of scales that are not known: they were made to grow
  if (const Tensor* known = constant(scales)) {
    const Tensor wide = convert(*known, DType::f32);
    const auto values = wide.data<float>();
    const auto shrinks = [](float scale) { return scale < 1; };
    if (std::ranges::any_of(values, shrinks)) {
      if (std::ranges::any_of(values, [](float scale) { return scale > 1; })) refuse(id);
      nearest = "ceil";
    }
  }
  node.attributes.set("nearest_mode", nearest);
}

// Counted from the front, 1 if it was not given.
void Raiser::axis_to_input(NodeId id) {
  const int64_t axis = graph_.node(id).attributes.integer("axis", 1);
  graph_.node(id).attributes.erase("axis");
  editor_.set_input(
      id, 2, editor_.add_constant(graph_.node(id).name + "_axis", Tensor::scalar<int64_t>(axis)));
}

// Scale and bias of each group become those of each channel.
void Raiser::scale_channels(NodeId id) {
  const Shape shape = graph_.value(graph_.node(id).inputs[0]).type.shape;
  for (const size_t input : {1UL, 2UL}) {
    const Tensor* groups = constant(graph_.node(id).input(input));
    if (groups == nullptr || shape.rank() < 2 || shape[1] < 0 || groups->elements() == 0 ||
        shape[1] % groups->elements() != 0) {
      refuse(id);
    }
    if (groups->elements() == shape[1]) continue;
    const auto repeats = static_cast<size_t>(shape[1] / groups->elements());
    const size_t size = groups->bytes() / static_cast<size_t>(groups->elements());
    Tensor channels(groups->dtype(), {shape[1]});
    for (size_t c = 0; c < static_cast<size_t>(shape[1]); ++c) {
      std::memcpy(static_cast<std::byte*>(channels.raw()) + c * size,
                  static_cast<const std::byte*>(groups->raw()) + c / repeats * size, size);
    }
    const std::string name = graph_.node(id).name + (input == 1 ? "_scale" : "_bias");
    editor_.set_input(id, input, editor_.add_constant(name, channels));
  }
}

void Raiser::inference_only(NodeId id) {
  if (graph_.node(id).attributes.integer("spatial", 1) == 0) refuse(id);
  graph_.node(id).attributes.erase("spatial");
}

// floor(scale * (x + 0.5)) is what half_pixel rounds to, halves up.
void Raiser::no_tf_half_pixel(NodeId id) {
  Attributes& attributes = graph_.node(id).attributes;
  if (attributes.text("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn") return;
  if (attributes.text("mode", "nearest") != "nearest" ||
      attributes.text("nearest_mode", "") != "floor") {
    refuse(id);
  }
  attributes.set("coordinate_transformation_mode", std::string("half_pixel"));
  attributes.set("nearest_mode", std::string("round_prefer_ceil"));
}

// The only mode there was; the default became another.
void Raiser::name_half_pixel(NodeId id) {
  graph_.node(id).attributes.set("coordinate_transformation_mode",
                                 std::string("output_half_pixel"));
}

void Raiser::rename_grid_mode(NodeId id) {
  Attributes& attributes = graph_.node(id).attributes;
  const std::string mode = attributes.text("mode", "bilinear");
  if (mode == "bilinear") attributes.set("mode", std::string("linear"));
  if (mode == "bicubic") attributes.set("mode", std::string("cubic"));
}

}  // namespace

void raise_opset(Graph& graph, int opset) {
  if (opset <= graph.opset()) return;
  Raiser(graph, opset).run();
}

int64_t ir_version_for(int opset) {
  struct Row {
    int opset;
    int64_t ir;
  };
  constexpr std::array kRows = {Row{25, 13}, Row{24, 12}, Row{23, 11}, Row{21, 10}, Row{19, 9},
                                Row{15, 8},  Row{12, 7},  Row{11, 6},  Row{10, 5},  Row{9, 4}};
  for (const Row& row : kRows) {
    if (opset >= row.opset) return row.ir;
  }
  return 3;
}

}  // namespace nibble
