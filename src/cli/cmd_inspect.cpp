// nibble inspect: what is in a model, and what quantization could do with it.
#include <fmt/format.h>

#include "cli/command.h"
#include "nibble/onnx.h"
#include "onnx/model_size.h"
#include "ops/op.h"
#include "report/format.h"
#include "report/table.h"
#include "verbs/inspect.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  bool all = false;
  CommonOptions common;
};

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

void print_text(const Graph& graph, const Inspection& summary, const Arguments& arguments) {
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
  for (const NodeSupport& node : summary.nodes) {
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
  const Graph graph = load_model(arguments.model);
  const Inspection summary = inspect_model(graph);
  present("inspect", to_json(summary, graph, size_of_model(arguments.model)), arguments.common,
          [&] { print_text(graph, summary, arguments); });
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
