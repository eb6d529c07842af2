// nibble compare: how far the outputs of a quantized model are from the float one's, and where the
// error comes from, layer by layer.
#include <fmt/format.h>

#include <array>

#include "base/check.h"
#include "cli/command.h"
#include "cli/metric_output.h"
#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "ranges/sample_runner.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string reference;
  std::string quantized;
  int64_t samples = 64;
  DataArguments data;
  CommonOptions common;
};

Json layers_json(const std::vector<LayerError>& errors) {
  Json layers = Json::array();
  for (const LayerError& error : errors) {
    layers.push_back({{"value", error.value},
                      {"node", error.node},
                      {"op", error.op},
                      {"sqnr_db", error.sqnr_db},
                      {"cosine", error.cosine},
                      {"max_abs_error", error.max_abs_error}});
  }
  return layers;
}

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
  std::array<Graph, 2> graphs = {prepare_for_quantization(load_onnx(arguments.reference)),
                                 load_onnx(arguments.quantized)};
  const Graph& reference = graphs[0];
  Graph& quantized = graphs[1];
  if (!is_quantized(quantized)) quantized = prepare_for_quantization(quantized);  // fold both alike
  arguments.data.settle(graphs);
  const std::shared_ptr<const Dataset> all =
      arguments.data.open(Split::test, &quantized, arguments.common.seed);
  const std::shared_ptr<const Dataset> data =
      draw_samples(quantized, all, arguments.samples, arguments.common.seed);
  ProgressBar progress;
  const std::vector<std::string> names = {arguments.reference, arguments.quantized};
  const std::vector<MeasuredModel> models = {
      {.name = names[0], .graph = &reference, .data = data.get(), .arithmetic = Arithmetic::f32},
      {.name = names[1], .graph = &quantized, .data = data.get()}};
  const MeasureOptions options{.by_first_model = true,
                               .threads = arguments.common.threads,
                               .seed = arguments.common.seed,
                               .progress = &progress};
  const std::vector<MetricReport> outputs = measure(models, options);
  const std::vector<LayerError> errors = with_context(
      [&] { return fmt::format("comparing {} with {}", arguments.quantized, arguments.reference); },
      [&] {
        return compare_layers(reference, quantized, *data, data->size(),
                              {.threads = arguments.common.threads, .progress = &progress});
      });
  progress.clear();
  if (arguments.common.json) {
    print_json({{"samples", data->size()},
                {"outputs", reports_json(names, outputs)},
                {"layers", layers_json(errors)}});
    return 0;
  }
  print_reports(names, outputs, options);
  print_layers(errors, data->size());
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
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
