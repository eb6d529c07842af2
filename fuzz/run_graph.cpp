// Compiles and runs one of the seed graphs after changes that the fuzzer chooses: other operators,
// operands, attributes, constants and types. Extents stay small, so that whatever runs is quick.
#include <algorithm>
#include <array>
#include <variant>

#include "fuzz/fuzz_target.h"
#include "fuzz/seed_graphs.h"
#include "nibble/runtime.h"
#include "ops/op.h"

namespace {

using namespace nibble;

// The fuzzer's bytes as a row of small decisions; zeros once they are used up.
class Choices {
 public:
  explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool left() const { return !bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t first = bytes_[0];
    bytes_ = bytes_.subspan(1);
    return first;
  }
  size_t below(size_t count) { return count == 0 ? 0 : (byte() + size_t{256} * byte()) % count; }
  int64_t small() { return static_cast<int8_t>(byte()) % 8; }
  float real() {
    constexpr std::array<float, 8> kOdd = {0, 1, -1, 0.3F, 1e-30F, 1e30F, -127.5F, 3.0e38F};
    return kOdd[below(kOdd.size())];
  }

 private:
  std::span<const uint8_t> bytes_;
};

void change_operator(Node& node, Choices& choices) {
  const auto rows = op_table();
  const OpRow& row = rows[choices.below(rows.size())];
  node.op = row.name;
  node.domain = row.domain;
}

void change_operand(Graph& graph, Node& node, Choices& choices) {
  const size_t at = choices.below(node.inputs.size() + 1);
  const auto other = static_cast<int32_t>(choices.below(static_cast<size_t>(graph.value_count())));
  if (at == node.inputs.size()) node.inputs.emplace_back();
  node.inputs[at] = choices.byte() % 8 == 0 ? ValueId{} : ValueId{other};
}

void change_attribute(Node& node, Choices& choices) {
  constexpr std::array kNames = {"axis",      "axes",     "perm",      "group",    "kernel_shape",
                                 "pads",      "strides",  "dilations", "keepdims", "block_size",
                                 "to",        "mode",     "transB",    "alpha",    "beta",
                                 "ceil_mode", "auto_pad", "direction"};
  const char* name = kNames[choices.below(kNames.size())];
  switch (choices.byte() % 4) {
    case 0:
      return node.attributes.set(name, choices.small());
    case 1:
      return node.attributes.set(name, choices.real());
    case 2: {
      std::vector<int64_t> values(choices.below(6));
      for (int64_t& value : values) value = choices.small();
      return node.attributes.set(name, std::move(values));
    }
    default:
      return node.attributes.erase(name);
  }
}

void change_constant(Value& value, Choices& choices) {
  if (!value.is_constant() || value.data.elements() == 0) return;
  value.data = value.data.clone();
  const size_t at = choices.below(static_cast<size_t>(value.data.elements()));
  if (value.data.dtype() == DType::f32) value.data.data<float>()[at] = choices.real();
  if (value.data.dtype() == DType::i64) value.data.data<int64_t>()[at] = choices.small();
}

void change_type(Value& value, Choices& choices) {
  if (value.type.quant && choices.byte() % 2 == 0) {
    QuantParams& params = *value.type.quant;
    if (!params.scale.empty()) params.scale[choices.below(params.scale.size())] = choices.real();
    if (choices.byte() % 4 == 0)
      params.zero_point.assign(params.zero_point.size(), static_cast<int32_t>(choices.small()));
    if (choices.byte() % 8 == 0) value.type.quant.reset();
    return;
  }
  Shape& shape = value.type.shape;
  if (shape.rank() > 0)
    shape[static_cast<int>(choices.below(static_cast<size_t>(shape.rank())))] = choices.small();
}

void change(Graph& graph, Choices& choices) {
  const auto nodes = graph.nodes();
  Node& node = graph.node(nodes[choices.below(nodes.size())]);
  Value& value =
      graph.value({static_cast<int32_t>(choices.below(static_cast<size_t>(graph.value_count())))});
  switch (choices.byte() % 6) {
    case 0:
      return change_operator(node, choices);
    case 1:
      return change_operand(graph, node, choices);
    case 2:
      return change_attribute(node, choices);
    case 3:
      return change_constant(value, choices);
    case 4:
      return change_type(value, choices);
    default:
      graph.opsets[""] = 7 + choices.byte() % 17;
  }
}

void run(const Graph& graph, Arithmetic arithmetic, bool optimize) {
  Program program = compile(graph, {.arithmetic = arithmetic, .optimize = optimize});
  std::vector<Tensor> inputs;
  for (const TensorType& type : program.input_types()) {
    Shape shape = type.shape.has_rank() ? type.shape : Shape{};
    for (int axis = 0; axis < shape.rank(); ++axis) shape[axis] = std::max<int64_t>(shape[axis], 1);
    inputs.emplace_back(type.dtype, shape);
    if (type.dtype != DType::f32) continue;
    float next = -1;
    for (float& x : inputs.back().data<float>()) x = next += 0.125F;
  }
  program.run(inputs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<fuzz::SeedGraph> seeds = fuzz::seed_graphs();
  Choices choices({data, size});
  Graph graph = seeds[choices.byte() % seeds.size()].graph;
  for (int changes = 0; choices.left() && changes < 16; ++changes) change(graph, choices);
  const auto attempt = [&](Arithmetic arithmetic, bool optimize) {
    fuzz::expect_error_at_most([&] {
      Graph sorted = graph;
      sorted.sort();
      sorted.validate();
      run(sorted, arithmetic, optimize);
    });
  };
  attempt(Arithmetic::integer, true);
  attempt(Arithmetic::fake_quantize, true);
  attempt(Arithmetic::f32, false);
  return 0;
}
