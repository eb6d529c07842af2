// nibble quantize: analyze, choose bits where asked to, quantize, write.
#include <fmt/format.h>

#include <filesystem>

#include "base/check.h"
#include "cli/quantize_arguments.h"
#include "nibble/onnx.h"
#include "report/format.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  DataArguments data;
  QuantizeArguments quantization;
  CommonOptions common;
};

void print_summary(const Arguments& arguments, const Quantized& result, uint64_t before) {
  const auto after = static_cast<uint64_t>(std::filesystem::file_size(arguments.output));
  if (arguments.common.json) {
    Json json = {{"output", arguments.output},
                 {"bytes_before", before},
                 {"bytes_after", after},
                 {"calibration_samples", result.ranges.samples},
                 {"quantized_layers", result.report.quantized_layers},
                 {"plan", to_json(result.plan)}};
    json["skipped"] = Json::array();
    for (const auto& skipped : result.report.why_not) {
      json["skipped"].push_back({{"node", skipped.node}, {"reason", skipped.reason}});
    }
    json["notes"] = result.ranges.notes;
    for (const std::string& note : result.report.notes) json["notes"].push_back(note);
    print_json(json);
    return;
  }
  fmt::print("{}: {} -> {}, {:.2f} times smaller\n", arguments.output, format_bytes(before),
             format_bytes(after), static_cast<double>(before) / static_cast<double>(after));
  if (result.report.quantized_layers == 0) fmt::print("Nothing could be quantized.\n");
  fmt::print("{} layers quantized, calibrated on {} samples.\n", result.report.quantized_layers,
             result.ranges.samples);
  for (const auto& [node, bits] : result.plan.layers) {
    fmt::print(
        "  {}: weights {} bits, activations {}\n", node, bits.weight_bits,
        bits.activation_bits == 0 ? "in float" : fmt::format("{} bits", bits.activation_bits));
  }
  if (!result.report.why_not.empty()) fmt::print("Left in float:\n");
  for (const auto& skipped : result.report.why_not)
    fmt::print("  {}: {}\n", skipped.node, skipped.reason);
  for (const auto* notes : {&result.ranges.notes, &result.report.notes}) {
    for (const std::string& note : *notes) fmt::print("{}.\n", note);
  }
}

int run(const Arguments& arguments) {
  check_writable(arguments.output);
  const Graph model = load_onnx(arguments.model);
  const uint64_t before = std::filesystem::file_size(arguments.model);
  ProgressBar progress;
  Quantized result =
      with_context([&] { return "quantizing " + arguments.model; },
                   [&] {
                     return quantize_model(model, arguments.data, arguments.quantization,
                                           arguments.common, progress);
                   });
  save_onnx(result.graph, arguments.output, find_target(result.target));
  progress.clear();
  print_summary(arguments, result, before);
  return 0;
}

}  // namespace

std::function<int()> declare_quantize(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Float ONNX model")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")->required();
  arguments->data.declare(app);
  arguments->quantization.declare(app);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
