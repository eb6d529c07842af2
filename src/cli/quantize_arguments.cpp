#include "cli/quantize_arguments.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"
#include "base/file.h"
#include "ranges/sample_runner.h"

namespace nibble::cli {
namespace {

Json to_json(const LayerBits& bits) {
  return {{"weights", bits.weight_bits}, {"activations", bits.activation_bits}};
}

void check_is_float(const Graph& model) {
  for (int32_t i = 0; i < model.value_count(); ++i) {
    if (model.value({i}).type.quant) {
      fail(ErrorCode::invalid_argument,
           "the model is quantized already ('{}' is {}); start from the float model, or use "
           "`nibble finetune`",
           model.value({i}).name, to_string(model.value({i}).type));
    }
  }
}

// What samples are needed for, if they are. (A rounding method that looks at data says so itself.)
std::optional<std::string> why_data(const QuantizeSettings& settings) {
  if (settings.budget.average_weight_bits || settings.budget.file_bytes) {
    return "which layers get how many bits is decided";
  }
  if (settings.options.dynamic) return std::nullopt;
  bool activations = settings.plan.fallback.activation_bits != 0;
  for (const auto& [node, bits] : settings.plan.layers) {
    activations = activations || bits.activation_bits != 0;
  }
  if (activations) return "the ranges of activations are measured";
  return std::nullopt;
}

void check_names(const Graph& graph, const QuantizeSettings& settings) {
  std::set<std::string> names;
  for (NodeId id : graph.nodes()) names.insert(graph.node(id).name);
  const auto check_name = [&](const std::string& name, const char* where) {
    if (!names.contains(name)) {
      fail(ErrorCode::invalid_argument,
           "{} names the node '{}', which the model does not have (see `nibble inspect`)", where,
           name);
    }
  };
  for (const std::string& name : settings.options.skip) check_name(name, "skip");
  for (const auto& [name, bits] : settings.plan.layers) check_name(name, "layers");
}

}  // namespace

void QuantizeArguments::declare(CLI::App& app) {
  static const QuantizeSettings defaults;
  const std::string group = "Quantization";
  flags.declare(app, quantize_option_rows(), group, &defaults);
  app.add_option("--config", config,
                 "JSON file with these settings, and bits by layer; flags win over it")
      ->type_name("FILE")
      ->group(group);
}

QuantizeSettings QuantizeArguments::resolve(const CommonOptions& common) const {
  QuantizeSettings settings;
  if (!config.empty()) {
    with_context([&] { return "reading " + config; },
                 [&] { apply_settings_json(read_file(config), settings); });
  }
  flags.apply(settings);
  const bool budget = settings.budget.average_weight_bits || settings.budget.file_bytes;
  if (budget && flags.has("weights")) {
    fail(ErrorCode::invalid_argument,
         "--weights {} cannot be kept together with a budget of bits or bytes",
         settings.plan.fallback.weight_bits);
  }
  settings.options.threads = common.threads;
  return settings;
}

Quantized quantize_model(const Graph& model, const DataArguments& data,
                         const QuantizeSettings& given, const CommonOptions& common,
                         ProgressBar& progress) {
  check_settings(given);
  QuantizeSettings settings = given;
  check_is_float(model);
  Quantized result;
  result.float_graph = prepare_for_quantization(model);
  check_names(result.float_graph, settings);
  data.settle({&result.float_graph, 1});
  std::shared_ptr<const Dataset> calibration;
  if (data.given()) {
    const std::shared_ptr<const Dataset> training =
        data.open(Split::train, &result.float_graph, common.seed);
    calibration = draw_samples(result.float_graph, training, settings.calibration, common.seed);
    store_preprocess_of(result.float_graph, *training);
    result.ranges =
        analyze(result.float_graph, *calibration,
                {.predict_errors = false, .threads = common.threads, .progress = &progress});
  } else if (const auto reason = why_data(settings)) {
    fail(ErrorCode::invalid_argument,
         "no data are given, on which {}: name them with --data or --input, or use --dynamic, or "
         "--activations none for weights alone",
         *reason);
  }
  settings.options.samples = calibration.get();
  result.plan = settings.plan;
  if (settings.budget.average_weight_bits || settings.budget.file_bytes) {
    ChooseOptions options = choose_options(settings);
    options.progress = &progress;
    result.plan =
        choose_bits(result.float_graph, result.ranges, *calibration, settings.budget, options).plan;
  }
  result.target = settings.options.target;
  result.graph =
      quantize(result.float_graph, result.ranges, result.plan, settings.options, &result.report);
  return result;
}

void require_quantized(const Quantized& result) {
  if (result.report.quantized_layers > 0) return;
  if (result.report.why_not.empty()) {
    fail(ErrorCode::unsupported,
         "the model has no layer with weights: there is nothing to quantize");
  }
  const QuantizeReport::Skipped& first = result.report.why_not.front();
  const size_t more = result.report.why_not.size() - 1;
  fail(ErrorCode::unsupported, "nothing can be quantized: {} ({}) {}{}", first.node, first.op,
       first.reason,
       more > 0 ? fmt::format("; `nibble inspect` tells the same of {} more", more) : "");
}

Json to_json(const std::map<std::string, LayerBits>& layers) {
  Json json = Json::object();
  for (const auto& [node, bits] : layers) json[node] = to_json(bits);
  return json;
}

Json to_json(const BitPlan& plan) {
  return {{"default", to_json(plan.fallback)}, {"layers", to_json(plan.layers)}};
}

}  // namespace nibble::cli
