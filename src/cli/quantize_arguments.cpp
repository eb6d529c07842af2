#include "cli/quantize_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/file.h"

namespace nibble::cli {
namespace {

// A config file is not checked by CLI11.
void check_choice(const std::vector<Choice>& choices, std::string_view kind,
                  const std::string& name) {
  const std::vector<std::string> names = names_of(choices);
  if (std::ranges::find(names, name) != names.end()) return;
  fail(ErrorCode::invalid_argument, "{} '{}' is unknown; choose one of {}", kind, name,
       fmt::join(names, ", "));
}

// What --config and the flags say together; a flag wins over the file.
struct Settings {
  BitPlan plan;
  Budget budget;
  QuantizeOptions options;
  int64_t calibration = 512;
};

int bits_from_json(const Json& json, const std::string& key) {
  if (json.is_string() && json.get<std::string>() == "none" && key == "activations") return 0;
  if (!json.is_number_integer()) {
    fail(ErrorCode::invalid_argument, "'{}' is {}, expected a number of bits", key, json.dump());
  }
  const int bits = json.get<int>();
  if (!std::set{8, 6, 4, 3, 2}.contains(bits)) {
    fail(ErrorCode::invalid_argument, "'{}' is {}; choose 8, 6, 4, 3 or 2 bits", key, bits);
  }
  return bits;
}

void read_layers(const Json& layers, Settings& settings) {
  for (const auto& [node, entry] : layers.items()) {
    LayerBits bits = settings.plan.fallback;
    for (const auto& [key, value] : entry.items()) {
      if (key == "weights") {
        bits.weight_bits = bits_from_json(value, key);
      } else if (key == "activations") {
        bits.activation_bits = bits_from_json(value, key);
      } else {
        fail(ErrorCode::invalid_argument,
             "layer '{}' has the unknown key '{}'; it may have weights and activations", node, key);
      }
    }
    settings.plan.layers[node] = bits;
  }
}

void read_config(const std::string& path, Settings& settings) {
  with_context(
      [&] { return "reading " + path; },
      [&] {
        const Json config = Json::parse(read_file(path), nullptr, false, true);
        if (!config.is_object()) fail(ErrorCode::invalid_argument, "the file is not a JSON object");
        static const std::set<std::string> known = {
            "weights", "activations", "weight_observer",     "activation_observer", "rounding",
            "target",  "block_size",  "calibration",         "average_bits",        "max_bytes",
            "skip",    "dynamic",     "first_and_last_8bit", "bias_correction",     "layers"};
        for (const auto& [key, value] : config.items()) {
          if (!known.contains(key)) {
            fail(ErrorCode::invalid_argument, "the key '{}' is unknown; known are: {}", key,
                 fmt::join(known, ", "));
          }
        }
        try {
          if (config.contains("weights"))
            settings.plan.fallback.weight_bits = bits_from_json(config["weights"], "weights");
          if (config.contains("activations")) {
            settings.plan.fallback.activation_bits =
                bits_from_json(config["activations"], "activations");
          }
          if (config.contains("weight_observer")) {
            settings.options.weight_observer = config["weight_observer"].get<std::string>();
          }
          if (config.contains("activation_observer")) {
            settings.options.activation_observer = config["activation_observer"].get<std::string>();
          }
          settings.options.rounding = config.value("rounding", settings.options.rounding);
          settings.options.target = config.value("target", settings.options.target);
          if (config.contains("average_bits"))
            settings.budget.average_weight_bits = config["average_bits"].get<double>();
          if (config.contains("max_bytes"))
            settings.budget.file_bytes = config["max_bytes"].get<int64_t>();
          settings.options.weight_block_size = config.value("block_size", int64_t{0});
          settings.options.dynamic = config.value("dynamic", false);
          settings.options.first_and_last_8bit = config.value("first_and_last_8bit", true);
          settings.options.bias_correction = config.value("bias_correction", true);
          settings.options.skip = config.value("skip", std::vector<std::string>{});
          settings.calibration = config.value("calibration", settings.calibration);
          if (config.contains("layers")) read_layers(config["layers"], settings);
        } catch (const Json::exception& error) {
          fail(ErrorCode::invalid_argument, "a value has the wrong type ({})", error.what());
        }
      });
}

// What cannot be asked for together, or makes no sense.
void check_settings(const Settings& settings, const QuantizeArguments& arguments) {
  const bool budget = settings.budget.average_weight_bits || settings.budget.file_bytes;
  if (settings.budget.average_weight_bits && settings.budget.file_bytes) {
    fail(ErrorCode::invalid_argument, "give either an average of bits or a file size, not both");
  }
  if (budget && !arguments.weights.empty()) {
    fail(ErrorCode::invalid_argument,
         "--weights {} cannot be kept together with a budget of bits or bytes", arguments.weights);
  }
  const double average = settings.budget.average_weight_bits.value_or(8);
  if (!(average >= 2 && average <= 8)) {
    fail(ErrorCode::invalid_argument, "an average of {} bits is outside 2 to 8", average);
  }
  if (settings.calibration < 1) {
    fail(ErrorCode::invalid_argument, "cannot calibrate on {} samples", settings.calibration);
  }
  if (settings.options.weight_block_size < 0) {
    fail(ErrorCode::invalid_argument, "a block of {} weights makes no sense",
         settings.options.weight_block_size);
  }
  const bool any_weight_only = settings.plan.fallback.activation_bits == 0 ||
                               std::ranges::any_of(settings.plan.layers, [](const auto& layer) {
                                 return layer.second.activation_bits == 0;
                               });
  if (settings.options.weight_block_size > 0 && !any_weight_only) {
    fail(ErrorCode::invalid_argument,
         "weights in blocks of {} need activations in float (--activations none); layers that run "
         "as integers have one weight scale per output channel",
         settings.options.weight_block_size);
  }
  check_choice(observer_choices(), "observer", settings.options.weight_observer);
  check_choice(observer_choices(), "observer", settings.options.activation_observer);
  check_choice(rounding_choices(), "rounding method", settings.options.rounding);
  check_choice(target_choices(), "target", settings.options.target);
  const bool all_8bit =
      settings.plan.fallback == LayerBits{} && settings.plan.layers.empty() && !budget;
  if (settings.options.dynamic && !all_8bit) {
    fail(ErrorCode::invalid_argument,
         "dynamic quantization is 8 bits for weights and activations alike");
  }
}

Settings resolve(const QuantizeArguments& arguments, int threads) {
  Settings settings;
  if (!arguments.config.empty()) read_config(arguments.config, settings);
  LayerBits& bits = settings.plan.fallback;
  if (!arguments.weights.empty()) bits.weight_bits = std::stoi(arguments.weights);
  if (!arguments.activations.empty()) {
    bits.activation_bits = arguments.activations == "none" ? 0 : std::stoi(arguments.activations);
  }
  QuantizeOptions& options = settings.options;
  options.threads = threads;
  if (!arguments.weight_observer.empty()) options.weight_observer = arguments.weight_observer;
  if (!arguments.activation_observer.empty()) {
    options.activation_observer = arguments.activation_observer;
  }
  if (!arguments.rounding.empty()) options.rounding = arguments.rounding;
  if (!arguments.target.empty()) options.target = arguments.target;
  const bool budget = arguments.average_bits > 0 || arguments.max_bytes > 0;
  if (budget) settings.budget = {};
  if (arguments.average_bits > 0) settings.budget.average_weight_bits = arguments.average_bits;
  if (arguments.max_bytes > 0) settings.budget.file_bytes = arguments.max_bytes;
  if (arguments.block_size > 0) options.weight_block_size = arguments.block_size;
  if (arguments.dynamic) options.dynamic = true;
  if (arguments.all_layers_low) options.first_and_last_8bit = false;
  if (arguments.no_bias_correction) options.bias_correction = false;
  if (arguments.calibration > 0) settings.calibration = arguments.calibration;
  options.skip.insert(options.skip.end(), arguments.skip.begin(), arguments.skip.end());
  check_settings(settings, arguments);
  return settings;
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

void check_names(const Graph& graph, const Settings& settings) {
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
  const std::string group = "Quantization";
  app.add_option("--weights", weights, "Bits of the weights; default 8")
      ->check(CLI::IsMember({"8", "6", "4", "3", "2"}))
      ->group(group);
  app.add_option("--activations", activations,
                 "Bits of the activations; none: they stay in float (weight-only); default 8")
      ->check(CLI::IsMember({"8", "6", "4", "3", "2", "none"}))
      ->group(group);
  app.add_option("--average-bits", average_bits,
                 "Choose 8 or 4 bits per layer for this average over all weights")
      ->check(CLI::Range(2.0, 8.0))
      ->group(group);
  app.add_option("--max-size", max_bytes,
                 "Choose 8 or 4 bits per layer for a file of at most this many bytes")
      ->check(positive())
      ->group(group);
  app.add_option("--block-size", block_size,
                 "Weights share a scale in blocks of this size along the reduction axis")
      ->check(positive())
      ->group(group);
  const auto one_of = [&](const char* flag, std::string& value, const std::string& what,
                          const std::vector<Choice>& choices, const std::string& usual) {
    app.add_option(flag, value, describe_choices(what, choices, usual))
        ->check(CLI::IsMember(names_of(choices)))
        ->group(group);
  };
  const QuantizeOptions usual;
  one_of("--weight-observer", weight_observer, "How a weight's scale is found", observer_choices(),
         usual.weight_observer);
  one_of("--activation-observer", activation_observer, "How an activation's scale is found",
         observer_choices(), usual.activation_observer);
  one_of("--rounding", rounding, "How weights are rounded", rounding_choices(), usual.rounding);
  one_of("--target", target, "The runtime that the file is meant for", target_choices(),
         usual.target);
  app.add_option("--calibration", calibration, "Training samples to calibrate on; default 512")
      ->check(positive())
      ->group(group);
  app.add_flag("--dynamic", dynamic, "Activation ranges are found at run time")->group(group);
  app.add_flag("--no-8bit-ends", all_layers_low,
               "The first and the last layer may go under 8 bits too")
      ->group(group);
  app.add_flag("--no-bias-correction", no_bias_correction,
               "Do not move biases by the mean error that rounding makes")
      ->group(group);
  app.add_option("--skip", skip, "Nodes that stay in float")->delimiter(',')->group(group);
  app.add_option("--config", config,
                 "JSON file with these settings, and bits by layer; flags win over it")
      ->group(group);
}

Quantized quantize_model(const Graph& model, const DataArguments& data,
                         const QuantizeArguments& arguments, const CommonOptions& common,
                         ProgressBar& progress) {
  Settings settings = resolve(arguments, common.threads);
  check_is_float(model);
  Quantized result;
  result.float_graph = prepare_for_quantization(model);
  check_names(result.float_graph, settings);
  const std::shared_ptr<const Dataset> training =
      data.open(Split::train, &result.float_graph, common.seed);
  const std::shared_ptr<const Dataset> calibration =
      random_subset(training, settings.calibration, common.seed);
  store_preprocess_of(result.float_graph, *training);
  result.ranges =
      analyze(result.float_graph, *calibration,
              {.predict_errors = false, .threads = common.threads, .progress = &progress});
  settings.options.samples = calibration.get();
  result.plan = settings.plan;
  if (settings.budget.average_weight_bits || settings.budget.file_bytes) {
    ChooseOptions options{.activation_bits = settings.plan.fallback.activation_bits,
                          .quantize = settings.options,
                          .progress = &progress};
    for (const auto& [node, bits] : settings.plan.layers)
      options.fixed_weight_bits[node] = bits.weight_bits;
    result.plan =
        choose_bits(result.float_graph, result.ranges, *calibration, settings.budget, options).plan;
  }
  result.target = settings.options.target;
  result.graph =
      quantize(result.float_graph, result.ranges, result.plan, settings.options, &result.report);
  return result;
}

Json to_json(const BitPlan& plan) {
  const auto bits = [](const LayerBits& layer) {
    return Json{{"weights", layer.weight_bits}, {"activations", layer.activation_bits}};
  };
  Json json = {{"default", bits(plan.fallback)}, {"layers", Json::object()}};
  for (const auto& [node, layer] : plan.layers) json["layers"][node] = bits(layer);
  return json;
}

}  // namespace nibble::cli
