// Graph text: what passes are tested with and people read.
#include "base/check.h"
#include "nibble/graph.h"

namespace nibble {
namespace {

template <typename T>
std::string join(const std::vector<T>& items) {
  return fmt::format("[{}]", fmt::join(items, ","));
}

std::string attribute_text(const Attribute& attribute) {
  struct Printer {
    std::string operator()(int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(float value) const { return fmt::format("{}", value); }
    std::string operator()(const std::string& value) const { return fmt::format("\"{}\"", value); }
    std::string operator()(const Tensor& value) const {
      return fmt::format("{}{}", name_of(value.dtype()), value.shape().to_string());
    }
    std::string operator()(const std::shared_ptr<const Graph>& value) const {
      return fmt::format("graph {}", value->name);
    }
    std::string operator()(const std::vector<int64_t>& value) const { return join(value); }
    std::string operator()(const std::vector<float>& value) const { return join(value); }
    std::string operator()(const std::vector<std::string>& value) const { return join(value); }
    std::string operator()(const OpaqueAttribute&) const { return "opaque"; }
  };
  return std::visit(Printer{}, attribute);
}

}  // namespace

std::string to_text(const Graph& graph) {
  const auto reference = [&](ValueId value) {
    return value ? "%" + graph.value(value).name : std::string("_");
  };
  std::string text;
  for (ValueId input : graph.inputs) {
    text += fmt::format("input {}:{}\n", reference(input), to_string(graph.value(input).type));
  }
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    std::string outputs;
    for (ValueId value : node.outputs) {
      if (!outputs.empty()) outputs += ", ";
      outputs += reference(value);
      if (value) outputs += ":" + to_string(graph.value(value).type);
    }
    std::string arguments;
    for (ValueId value : node.inputs) {
      if (!arguments.empty()) arguments += ", ";
      arguments += reference(value);
    }
    text += fmt::format("{} = {}{}{}({})", outputs, node.domain,
                        node.domain.empty() ? "" : "::", node.op, arguments);
    std::string attributes;
    for (const auto& [name, attribute] : node.attributes) {
      if (!attributes.empty()) attributes += ", ";
      attributes += name + "=" + attribute_text(attribute);
    }
    if (!attributes.empty()) text += fmt::format(" {{{}}}", attributes);
    if (node.clamp.any()) text += fmt::format(" clamp=[{},{}]", node.clamp.low, node.clamp.high);
    if (node.channels_last) text += " channels_last";
    text += '\n';
  }
  for (ValueId output : graph.outputs) text += fmt::format("output {}\n", reference(output));
  return text;
}

}  // namespace nibble
