// nibble compare: how far the outputs of a quantized model are from the float one's, and where the
// error comes from, layer by layer.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/costs_output.h"
#include "cli/metric_output.h"
#include "nibble/onnx.h"
#include "report/table.h"
#include "verbs/json.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string reference;
  std::string quantized;
  int64_t samples = 64;
  Arithmetic arithmetic = Arithmetic::integer;
  bool explain = false;
  DataArguments data;
  CommonOptions common;
};

void print_layers(const std::vector<LayerError>& errors, int64_t samples) {
  Table table({{"value"},
               {"node"},
               {"op"},
               {"SQNR dB", Align::right},
               {"cosine", Align::right},
               {"max |error|", Align::right}});
  for (const LayerError& error : errors) {
    table.add_row({error.value, error.node, error.op, fmt::format("{:.1f}", error.sqnr_db),
                   fmt::format("{:.5f}", error.cosine),
                   fmt::format("{:.4g}", error.max_abs_error)});
  }
  tell(
      "\n{}\n{} values on {} samples, worst first. SQNR is signal to quantization noise: 6 dB are "
      "one bit.\n",
      table.to_string(output_columns()), errors.size(), samples);
}

int run(const Arguments& arguments) {
  const std::vector<std::string> names = {arguments.reference, arguments.quantized};
  ProgressBar progress;
  const RunSettings settings = arguments.common.settings(&progress);
  const Graph reference = load_model(names[0]), quantized = load_model(names[1]);
  const Comparison comparison =
      compare_models({.name = names[0], .graph = reference, .data = nullptr},
                     {.name = names[1], .graph = quantized, .data = nullptr},
                     arguments.data.source(), arguments.samples, settings, arguments.arithmetic);
  std::optional<Explanation> explanation;
  if (arguments.explain) {
    explanation = explain(quantized, reference, comparison.costs, arguments.data.source(),
                          arguments.samples, settings);
  }
  progress.clear();
  nlohmann::ordered_json json = to_json(comparison, names);
  if (explanation) json["explanation"] = to_json(*explanation, names);
  present("compare", json, arguments.common, [&] {
    print_reports(names, comparison.outputs, {.seed = settings.seed});
    print_layers(comparison.layers, comparison.samples);
    print_costs(comparison.costs, explanation ? kExplained : 2);
    if (explanation) print_explanation(names, *explanation, settings);
  });
  return 0;
}

}  // namespace

std::function<int()> declare_compare(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("FLOAT", arguments->reference, "Float ONNX model")->type_name("FILE")->required();
  app.add_option("QUANT", arguments->quantized, "Quantized ONNX model of the same network")
      ->type_name("FILE")
      ->required();
  arguments->data.declare(app);
  add_option(app, {.flag = "--samples", .help = "Test samples to run", .least = 1},
             arguments->samples);
  declare_arithmetic(app, arguments->arithmetic);
  add_option(app,
             {.flag = "--explain",
              .help = "Try the remedies that the costliest layers name: quantize again as the file "
                      "says that it was made, but for them, and measure"},
             arguments->explain);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
