#include "verbs/quantize.h"

#include <fmt/format.h>

#include <set>

#include "base/check.h"
#include "quant/smoothing.h"
#include "ranges/rounding.h"
#include "ranges/sample_runner.h"
#include "verbs/provenance.h"

namespace nibble {

bool has_budget(const QuantizeSettings& settings) {
  return settings.budget.average_weight_bits || settings.budget.file_bytes;
}

RangeReport measure_ranges(const Calibration& calibration, const RunSettings& run) {
  return analyze(calibration.graph, *calibration.samples,
                 {.predict_errors = false,
                  .threads = run.threads,
                  .ranks = run.ranks,
                  .progress = run.progress});
}

namespace {

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

// What samples are needed for, if they are.
std::optional<std::string> why_data(const QuantizeSettings& settings, bool ranges_known) {
  if (settings.smooth.any()) return "channels of activations are compared";
  if (has_budget(settings)) return "which layers get how many bits is decided";
  if (settings.options.dynamic || ranges_known) return std::nullopt;
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

BitChoice choose(const Calibration& calibration, const RangeReport& ranges,
                 const QuantizeSettings& settings, const RunSettings& run) {
  ChooseOptions options = choose_options(settings);
  options.progress = run.progress;
  options.reserved_bytes =
      provenance_bytes(calibration.graph, calibration.samples->size(), run.seed, settings);
  return choose_bits(calibration.graph, ranges, *calibration.samples, settings.budget, options);
}

[[noreturn]] void fail_without_data(const std::string& reason) {
  fail(ErrorCode::invalid_argument,
       "no data are given, on which {}: name them with --data or --input, or use --dynamic, or "
       "--activations none for weights alone",
       reason);
}

void check_rounding_has_data(const QuantizeSettings& settings) {
  const std::string& rounding = settings.options.rounding;
  if (settings.options.dynamic || !find_rounding(rounding).looks_at_data()) return;
  fail(ErrorCode::invalid_argument,
       "--rounding {} looks at data, and none are given: name them with --data or --input, or use "
       "--rounding nearest",
       rounding);
}

SmoothingLayers smoothing_layers(const QuantizeSettings& settings) {
  return {.plan = settings.plan, .weight_block_size = settings.options.weight_block_size};
}

// What `--smooth auto` would gain, as a note where it is much.
void advise_smoothing(const Graph& graph, RangeReport& ranges, const QuantizeSettings& settings) {
  const auto gains = smoothing_gains(graph, ranges, smoothing_layers(settings));
  if (gains.empty()) return;
  const auto most = std::ranges::max_element(gains, {}, &SmoothedActivation::gain_db);
  ranges.notes.push_back(fmt::format(
      "{} loud channels: evening out should lower the noise behind '{}' by {:.1f} dB{}: try "
      "--smooth auto",
      gains.size() == 1 ? "One activation has" : fmt::format("{} activations have", gains.size()),
      most->name, most->gain_db, gains.size() == 1 ? "" : ", and behind the others by less"));
}

}  // namespace

Calibration open_calibration(Graph prepared, const SampleSource& data, int64_t count,
                             const RunSettings& run) {
  Calibration calibration{.graph = std::move(prepared), .samples = nullptr};
  data.settle({&calibration.graph, 1});
  if (!data.given()) return calibration;
  const std::shared_ptr<const Dataset> training =
      data.open(Split::train, &calibration.graph, run.seed);
  calibration.samples = draw_samples(calibration.graph, training, count, run.seed);
  store_preprocess_of(calibration.graph, *training);
  return calibration;
}

RangeReport analyze_model(const Graph& model, const SampleSource& data, int64_t count,
                          const RunSettings& run) {
  Graph graph = prepare_for_quantization(model);
  data.settle({&graph, 1});
  const std::shared_ptr<const Dataset> training = data.open(Split::train, &graph, run.seed);
  const std::shared_ptr<const Dataset> samples = draw_samples(graph, training, count, run.seed);
  return analyze(graph, *samples,
                 {.threads = run.threads, .ranks = run.ranks, .progress = run.progress});
}

Graph prepare_model(const Graph& model, const QuantizeSettings& settings) {
  check_settings(settings);
  check_is_float(model);
  Graph prepared = prepare_for_quantization(model);
  check_names(prepared, settings);
  return prepared;
}

QuantizeSettings settings_for(const QuantizeSettings& given, const Calibration& calibration,
                              const RunSettings& run) {
  QuantizeSettings settings = given;
  settings.options.threads = run.threads;
  settings.options.seed = run.seed;
  settings.options.progress = run.progress;
  settings.options.samples = calibration.samples.get();
  return settings;
}

bool smooth_model(Calibration& calibration, RangeReport& ranges, const QuantizeSettings& settings,
                  const RunSettings& run) {
  const auto changed =
      smooth_activations(calibration.graph, ranges, settings.smooth, smoothing_layers(settings));
  if (changed.empty()) {
    ranges.notes.emplace_back(
        settings.smooth.by_noise
            ? "--smooth auto changed nothing: no activation is read by layers with weights that "
              "could take over differences between its channels, and would gain by it"
            : "--smooth changed nothing: no activation has a producer that takes a factor for each "
              "channel, and nothing but layers with weights behind it");
    return false;
  }
  ranges = measure_ranges(calibration, run);
  const auto added = std::ranges::count(changed, false, &SmoothedActivation::absorbed);
  std::string note = fmt::format("The channels of {} activations were evened out", changed.size());
  if (added > 0) note += fmt::format(", of {} by a multiplication that was added", added);
  ranges.notes.push_back(std::move(note));
  return true;
}

Quantized quantize_model(const Graph& model, const SampleSource& data,
                         const QuantizeSettings& given, const RunSettings& run,
                         const RangeReport* ranges) {
  Calibration calibration =
      open_calibration(prepare_model(model, given), data, given.calibration, run);
  const QuantizeSettings settings = settings_for(given, calibration, run);
  Quantized result;
  if (ranges != nullptr) {
    result.ranges = *ranges;
  } else if (calibration.samples != nullptr && !settings.options.dynamic) {
    result.ranges = measure_ranges(calibration, run);
  }
  if (calibration.samples == nullptr) {
    check_rounding_has_data(settings);
    if (const auto reason = why_data(settings, ranges != nullptr)) fail_without_data(*reason);
  }
  if (settings.smooth.any()) {
    if (settings.options.dynamic) result.ranges = measure_ranges(calibration, run);
    smooth_model(calibration, result.ranges, settings, run);
    if (settings.options.dynamic) result.ranges = {};
  } else {
    advise_smoothing(calibration.graph, result.ranges, settings);
  }
  result.plan = settings.plan;
  if (has_budget(settings)) {
    result.choice = choose(calibration, result.ranges, settings, run);
    result.plan = result.choice->plan;
  }
  result.float_graph = std::move(calibration.graph);
  result.target = settings.options.target;
  result.graph =
      quantize(result.float_graph, result.ranges, result.plan, settings.options, &result.report);
  // Ranges found at run time hang on no samples.
  const bool measured = !settings.options.dynamic || settings.smooth.any();
  const Dataset* samples = measured ? calibration.samples.get() : nullptr;
  store_provenance(result, record_of(model, samples, run.seed), settings);
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

void check_budget_alone(const QuantizeSettings& settings, bool weights_given) {
  if (!has_budget(settings) || !weights_given) return;
  fail(ErrorCode::invalid_argument,
       "--weights {} cannot be kept together with a budget of bits or bytes",
       settings.plan.fallback.weight_bits);
}

ChosenBits choose_model_bits(const Graph& model, const SampleSource& data,
                             const QuantizeSettings& given, const RunSettings& run) {
  if (!has_budget(given)) {
    fail(ErrorCode::invalid_argument,
         "there is no budget to choose bits for: give --average-bits or --max-size");
  }
  Calibration calibration =
      open_calibration(prepare_model(model, given), data, given.calibration, run);
  const QuantizeSettings settings = settings_for(given, calibration, run);
  if (calibration.samples == nullptr) fail_without_data(*why_data(settings, false));
  ChosenBits chosen;
  RangeReport ranges = measure_ranges(calibration, run);
  if (settings.smooth.any()) smooth_model(calibration, ranges, settings, run);
  chosen.choice = choose(calibration, ranges, settings, run);
  chosen.float_graph = std::move(calibration.graph);
  return chosen;
}

}  // namespace nibble
