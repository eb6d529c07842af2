#include "verbs/operator_list.h"

#include <fmt/format.h>

#include "nibble/error.h"
#include "nibble/runtime.h"
#include "ops/families.h"
#include "ops/require_ops.h"
#include "passes/every_graph.h"

namespace nibble {
namespace {

// What passes put into a body, which is compiled only when it runs.
constexpr std::array<std::string_view, 8> kMadeByPasses = {
    "Transpose", "Cast", "QuantizeLinear", "DequantizeLinear", "Reshape", "Mul", "Add", "Identity"};

bool collect(const Graph& graph, std::set<std::string>& operators) {
  bool has_bodies = false;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    find_op(node.op, node.domain);
    operators.insert(full_op_name(node.op, node.domain));
    for_each_body(node, [&](const Graph& body) {
      has_bodies = true;
      collect(body, operators);
    });
  }
  return has_bodies;
}

void run_on_zeros(Program& program) {
  std::vector<Tensor> inputs;
  for (const TensorType& type : program.input_types()) {
    Shape shape = type.shape.has_rank() ? type.shape : Shape{};
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 0) shape[axis] = 1;
    }
    inputs.emplace_back(type.dtype, shape);
  }
  try {
    program.run(inputs);
  } catch (const Error&) {
  }
}

}  // namespace

OperatorList list_operators(std::span<const Graph> models) {
  OperatorList list;
  for (const Graph& model : models) {
    if (collect(model, list.operators)) {
      for (const std::string_view op : kMadeByPasses) find_op(op, "");
    }
    Program program = compile(model);
    run_on_zeros(program);
  }
  for (const std::string_view family : families_used()) list.families.emplace_back(family);
  return list;
}

std::string as_source(const OperatorList& list) {
  std::string names, rows;
  for (const std::string& family : list.families) {
    names += fmt::format("Family {};\n", family);
    rows += fmt::format("      {},\n", family);
  }
  return fmt::format(R"(// Made by `nibble ops --for`: the operators that {} need.
#include <span>

namespace nibble {{

struct OpRow;
using Family = std::span<const OpRow>();

{}
std::span<Family* const> linked_families() {{
  static constexpr Family* kFamilies[] = {{
{}  }};
  return kFamilies;
}}

}}  // namespace nibble
)",
                     fmt::join(list.operators, ", "), names, rows);
}

Json to_json(const OperatorList& list) {
  return {{"operators", list.operators}, {"families", list.families}};
}

}  // namespace nibble
