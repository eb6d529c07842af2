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
  std::string target = "onnxruntime";
  DataArguments data;
  QuantizeArguments quantization;
  CommonOptions common;
};

Target target_named(const std::string& name) {
  if (name == "openvino") return Target::openvino;
  if (name == "tensorrt") return Target::tensorrt;
  return Target::onnxruntime;
}

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
  save_onnx(result.graph, arguments.output, target_named(arguments.target));
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
  app.add_option("--target", arguments->target, "The runtime that the file is meant for")
      ->check(CLI::IsMember({"onnxruntime", "openvino", "tensorrt"}))
      ->capture_default_str();
  arguments->common.declare(app);
  return [arguments] {
    arguments->quantization.symmetric_activations = arguments->target == "tensorrt";
    return run(*arguments);
  };
}

}  // namespace nibble::cli
