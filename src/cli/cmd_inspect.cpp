// nibble inspect: what is in a model, and what quantization could do with it.
#include <fmt/format.h>

#include <map>
#include <set>

#include "base/file.h"
#include "cli/command.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "ops/op.h"
#include "ops/require_ops.h"
#include "report/format.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  bool all = false;
  CommonOptions common;
};

struct Summary {
  std::optional<uint64_t> file_bytes;
  int64_t parameters = 0;
  int64_t macs = 0;
  int64_t quantizable_macs = 0;
  int quantized_constants = 0;
  std::map<std::string, int> operators;
  std::set<std::string> unsupported;
};

Summary summarize(const Graph& graph, const std::vector<NodeSupport>& nodes,
                  const std::string& path) {
  Summary summary{.file_bytes = size_of_file(path)};
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    ++summary.operators[full_op_name(node.op, node.domain)];
  }
  for (const MissingOp& missing : missing_ops(graph)) summary.unsupported.insert(missing.op);
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (value.is_constant() && value.type.quant) ++summary.quantized_constants;
  }
  for (const NodeSupport& node : nodes) {
    summary.parameters += node.parameters;
    summary.macs += node.macs;
    if (node.quantizable) summary.quantizable_macs += node.macs;
  }
  return summary;
}

// Also where its weights were counted at another node.
bool multiplies_by_weights(const NodeSupport& node) {
  const OpRow* row = find_op(node.op, "");
  return row != nullptr && row->quant == QuantRole::weighted;
}

std::string inputs_text(const Graph& graph, const std::vector<ValueId>& values) {
  std::string text;
  for (ValueId id : values) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", graph.value(id).name,
                        to_string(graph.value(id).type));
  }
  return text;
}

void print_json_report(const Graph& graph, const std::vector<NodeSupport>& nodes,
                       const Summary& summary) {
  const auto values = [&](const std::vector<ValueId>& ids) {
    Json list = Json::array();
    for (ValueId id : ids) {
      list.push_back({{"name", graph.value(id).name}, {"type", to_string(graph.value(id).type)}});
    }
    return list;
  };
  Json json = {{"file_bytes", summary.file_bytes ? Json(*summary.file_bytes) : Json()},
               {"opset", graph.opset()},
               {"ir_version", onnx_origin(graph).ir_version},
               {"producer", onnx_origin(graph).producer},
               {"inputs", values(graph.inputs)},
               {"outputs", values(graph.outputs)},
               {"parameters", summary.parameters},
               {"macs", summary.macs},
               {"quantizable_macs", summary.quantizable_macs},
               {"quantized_constants", summary.quantized_constants},
               {"operators", summary.operators},
               {"unsupported", summary.unsupported},
               {"nodes", Json::array()}};
  for (const NodeSupport& node : nodes) {
    json["nodes"].push_back({{"node", node.node},
                             {"op", node.op},
                             {"parameters", node.parameters},
                             {"macs", node.macs},
                             {"quantizable", node.quantizable},
                             {"reason", node.reason}});
  }
  print_json(json);
}

void print_text(const Graph& graph, const std::vector<NodeSupport>& nodes, const Summary& summary,
                const Arguments& arguments) {
  const OnnxOrigin origin = onnx_origin(graph);
  tell("{}: {}, opset {}, IR version {}{}\n", arguments.model, size_text(arguments.model),
       graph.opset(), origin.ir_version,
       origin.producer.empty() ? "" : ", written by " + origin.producer);
  tell("inputs:   {}\noutputs:  {}\n", inputs_text(graph, graph.inputs),
       inputs_text(graph, graph.outputs));
  tell(
      "{} parameters, {} multiply-accumulates per sample, {} of them in layers that can be "
      "quantized\n",
      format_count(static_cast<uint64_t>(summary.parameters)),
      format_count(static_cast<uint64_t>(summary.macs)),
      summary.macs == 0 ? "none"
                        : format_percent(static_cast<double>(summary.quantizable_macs) /
                                         static_cast<double>(summary.macs)));
  if (summary.quantized_constants > 0) {
    tell("already quantized: {} constants are stored as integers\n", summary.quantized_constants);
  }
  std::string operators;
  for (const auto& [op, count] : summary.operators)
    operators += fmt::format("{}{} {}", operators.empty() ? "" : ", ", count, op);
  tell("operators: {}\n", operators);
  if (!summary.unsupported.empty())
    tell("not supported: {}\n", fmt::join(summary.unsupported, ", "));
  Table table(
      {{"node"}, {"op"}, {"parameters", Align::right}, {"MACs", Align::right}, {"quantizable"}});
  int hidden = 0;
  for (const NodeSupport& node : nodes) {
    const bool cheap = node.parameters == 0 && node.macs == 0 && !multiplies_by_weights(node);
    if (!arguments.all && cheap) {
      ++hidden;
      continue;
    }
    table.add_row({node.node, node.op, format_count(static_cast<uint64_t>(node.parameters)),
                   format_count(static_cast<uint64_t>(node.macs)),
                   node.quantizable ? "yes" : "no: " + node.reason});
  }
  tell("\n{}", table.to_string(output_columns()));
  if (hidden > 0) tell("{} more nodes have no parameters; --all lists them.\n", hidden);
}

int run(const Arguments& arguments) {
  const Graph graph = load_onnx(arguments.model);
  const std::vector<NodeSupport> nodes = inspect_nodes(graph);
  const Summary summary = summarize(graph, nodes, arguments.model);
  if (arguments.common.json) {
    print_json_report(graph, nodes, summary);
  } else {
    print_text(graph, nodes, summary, arguments);
  }
  return 0;
}

}  // namespace

std::function<int()> declare_inspect(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model")->type_name("FILE")->required();
  add_option(app, {.flag = "--all", .help = "List every node, not only those with parameters"},
             arguments->all);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
