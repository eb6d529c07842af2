#include "support/op_case.h"

#include <ostream>
#include <sstream>

#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

bool is_marked(const std::vector<bool>& constant, size_t i) {
  return i < constant.size() && constant[i];
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> cases;
    for (const auto list : kCaseLists) {
      for (OpCase& op_case : list()) cases.push_back(std::move(op_case));
    }
    return cases;
  }();
  return all;
}

std::vector<const OpCase*> cases_of(std::string_view op, std::string_view domain) {
  std::vector<const OpCase*> found;
  for (const OpCase& op_case : op_cases()) {
    if (op_case.op == op && op_case.domain == domain) found.push_back(&op_case);
  }
  return found;
}

Node node_of(const OpCase& op_case) {
  Node node{.op = op_case.op, .domain = op_case.domain, .name = "case"};
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    const bool left_out = op_case.inputs[i].empty();
    node.inputs.push_back({left_out ? -1 : static_cast<int32_t>(i)});
  }
  for (size_t i = 0; i < op_case.expected.size(); ++i) {
    node.outputs.push_back({static_cast<int32_t>(op_case.inputs.size() + i)});
  }
  for (const auto& [name, value] : op_case.attributes) node.attributes.set(name, value);
  node.clamp = op_case.clamp;
  node.channels_last = op_case.channels_last;
  return node;
}

Graph graph_of(const OpCase& op_case, const std::vector<bool>& constant) {
  Graph graph;
  graph.opsets[""] = op_case.opset;
  Node node = node_of(op_case);
  node.inputs.clear();
  node.outputs.clear();
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    const Tensor& input = op_case.inputs[i];
    const std::string name = "x" + std::to_string(i);
    if (input.empty()) {
      node.inputs.emplace_back();
    } else if (is_marked(constant, i)) {
      node.inputs.push_back(graph.add_constant(name, input));
    } else {
      node.inputs.push_back(
          graph.add_value(name, {.dtype = input.dtype(), .shape = input.shape(), .quant = {}}));
      graph.inputs.push_back(node.inputs.back());
    }
  }
  for (size_t i = 0; i < op_case.expected.size(); ++i) {
    TensorType type{.dtype = op_case.expected[i].dtype(), .shape = Shape::unknown_rank()};
    node.outputs.push_back(graph.add_value("y" + std::to_string(i), type));
  }
  graph.outputs = node.outputs;
  graph.add_node(std::move(node));
  return graph;
}

std::vector<Tensor> graph_inputs(const OpCase& op_case, const std::vector<bool>& constant) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    if (!op_case.inputs[i].empty() && !is_marked(constant, i)) inputs.push_back(op_case.inputs[i]);
  }
  return inputs;
}

std::string to_string(const OpCase& op_case) {
  std::ostringstream out;
  out << op_case.op << "-" << op_case.opset << "(";
  for (const Tensor& input : op_case.inputs) {
    out << (input.empty() ? "none"
                          : std::string(name_of(input.dtype())) + input.shape().to_string())
        << " ";
  }
  out << ") {";
  for (const auto& [name, value] : op_case.attributes) out << name << " ";
  out << "}";
  return out.str();
}

std::ostream& operator<<(std::ostream& out, const OpCase& op_case) {
  return out << to_string(op_case);
}

}  // namespace nibble::testing
