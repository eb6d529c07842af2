#include "verbs/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/check.h"
#include "data/batch_reader.h"
#include "data/digest.h"
#include "passes/every_graph.h"
#include "quant/channel_spaces.h"
#include "quant/rotation.h"
#include "quant/smoothing.h"
#include "ranges/binding.h"
#include "ranges/rounding.h"
#include "ranges/sample_runner.h"
#include "report/latency_meter.h"
#include "verbs/provenance.h"

namespace nibble {

bool has_budget(const QuantizeSettings& settings) { return settings.budget.given(); }

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
  if (settings.smooth.any() || settings.rotate == Rotation::by_noise) {
    return "channels of activations are compared";
  }
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

// A report of another network: of the weights' names, shapes or numbers.
void check_ranges_of(const Graph& graph, const RangeReport& ranges) {
  std::map<std::string, const TensorRange*> weights;
  for (const TensorRange& range : ranges.tensors) {
    if (range.is_weight) weights[range.name] = &range;
  }
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    for (int32_t i = 0; i < one.value_count(); ++i) {
      const Value& value = one.value({i});
      const auto found = weights.find(path + value.name);
      if (found == weights.end() || !value.is_constant()) continue;
      const Moments& then = found->second->total;
      if (value.data.dtype() != DType::f32 || !found->second->unusable.empty()) continue;
      Moments now;
      now.add(value.data.data<float>());
      if (now.count == then.count && now.minimum == then.minimum && now.maximum == then.maximum) {
        weights.erase(found);
        continue;
      }
      fail(ErrorCode::invalid_argument,
           "the ranges are those of another model: weight '{}' has {} numbers from {} to {} here, "
           "and {} from {} to {} there",
           found->first, now.count, now.minimum, now.maximum, then.count, then.minimum,
           then.maximum);
    }
  });
  for (const auto& [name, range] : weights) {
    if (!range->unusable.empty()) continue;
    fail(ErrorCode::invalid_argument,
         "the ranges are those of another model: this one has no weight '{}'", name);
  }
}

// Of the inputs that leave sizes open: what the first sample makes of them.
std::map<std::string, Shape> open_shapes(const Graph& graph, const Dataset& data) {
  BatchReader reader(data, {0, 1}, {.batch = 1});
  const std::optional<SampleBatch> first = reader.next();
  std::map<std::string, Shape> shapes;
  if (!first) return shapes;
  for (const InputBinding& input : bind_samples(graph, data).inputs) {
    if (graph.value(input.input).type.shape.is_static()) continue;
    shapes[input.name] =
        input.field < 0
            ? input.first_state(first->samples).shape()
            : input.from_batch(first->samples[static_cast<size_t>(input.field)]).shape();
  }
  return shapes;
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

// dB: less is within what other samples would say.
constexpr double kLeastRotationGain = 0.5;

bool gains_by_rotation(double before, double after) {
  return after > 0 && 10 * std::log10(before / after) >= kLeastRotationGain;
}

// `all`: of how many spaces those found are.
std::string note_of_rotation(const ChannelSpaces& found, size_t all) {
  std::string note;
  if (!found.spaces.empty()) {
    size_t activations = 0;
    for (const ChannelSpace& space : found.spaces) activations += space.values.size();
    note = fmt::format("The channels of {} activations were rotated, by {} {}", activations,
                       found.spaces.size(), found.spaces.size() == 1 ? "matrix" : "matrices");
  } else {
    note = all == 0 ? "--rotate changed nothing: there are no channels around which constants "
                      "alone can take a matrix"
                    : "--rotate auto changed nothing: it would gain less than 0.5 dB everywhere";
  }
  if (found.fixed.empty()) return note;
  const FixedChannels& first = found.fixed.front();
  note += fmt::format("; the sum '{}' could not be: {}", first.value, first.reason);
  if (found.fixed.size() > 1) note += fmt::format(" ({} more likewise)", found.fixed.size() - 1);
  return note;
}

}  // namespace

BitChoice choose_for_budget(const Calibration& calibration, const RangeReport& ranges,
                            const QuantizeSettings& settings, const RunSettings& run,
                            int64_t reserved_bytes) {
  if (settings.budget.latency_s && run.ranks != nullptr && run.ranks->size() > 1) {
    fail(ErrorCode::invalid_argument,
         "a latency is measured on one machine, and the {} ranks of this job would choose by "
         "different ones: run the command without ranks",
         run.ranks->size());
  }
  ChooseOptions options = choose_options(settings);
  options.progress = run.progress;
  options.reserved_bytes =
      reserved_bytes +
      provenance_bytes(calibration.graph, calibration.samples->size(), run.seed, settings);
  RuntimeMeter own(std::max(run.threads, 1), run.seed,
                   settings.budget.latency_s ? open_shapes(calibration.graph, *calibration.samples)
                                             : std::map<std::string, Shape>(),
                   run.progress);
  options.meter = run.meter != nullptr ? run.meter : &own;
  return choose_bits(calibration.graph, ranges, *calibration.samples, settings.budget, options);
}

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

bool rotate_model(Calibration& calibration, RangeReport& ranges, const QuantizeSettings& settings,
                  const RunSettings& run) {
  ChannelSpaces found = find_channel_spaces(calibration.graph, ranges);
  Calibration rotated{.graph = rotate_channels(calibration.graph, found.spaces, run.seed),
                      .samples = calibration.samples};
  RangeReport after = ranges;
  if (calibration.samples != nullptr) after = measure_ranges(rotated, run);
  const size_t all = found.spaces.size();
  if (settings.rotate == Rotation::by_noise) {
    std::erase_if(found.spaces, [&](const ChannelSpace& space) {
      return !gains_by_rotation(predicted_noise(calibration.graph, ranges, space, settings.plan),
                                predicted_noise(rotated.graph, after, space, settings.plan));
    });
  }
  if (found.spaces.size() < all && !found.spaces.empty()) {
    rotated.graph = rotate_channels(calibration.graph, found.spaces, run.seed);
    after = measure_ranges(rotated, run);
  }
  const bool changed = !found.spaces.empty();
  if (changed) {
    calibration.graph = std::move(rotated.graph);
    ranges = std::move(after);
  }
  ranges.notes.push_back(note_of_rotation(found, all));
  return changed;
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
    check_ranges_of(calibration.graph, *ranges);
    result.ranges = *ranges;
  } else if (calibration.samples != nullptr && !settings.options.dynamic) {
    result.ranges = measure_ranges(calibration, run);
  }
  if (calibration.samples == nullptr) {
    check_rounding_has_data(settings);
    if (const auto reason = why_data(settings, ranges != nullptr)) fail_without_data(*reason);
  }
  if (settings.rotate != Rotation::none) {
    if (settings.options.dynamic && calibration.samples != nullptr) {
      result.ranges = measure_ranges(calibration, run);
    }
    rotate_model(calibration, result.ranges, settings, run);
    if (settings.options.dynamic) result.ranges = {.notes = std::move(result.ranges.notes)};
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
    result.choice = choose_for_budget(calibration, result.ranges, settings, run);
    result.plan = result.choice->plan;
  }
  result.float_graph = std::move(calibration.graph);
  result.target = settings.options.target;
  result.graph =
      quantize(result.float_graph, result.ranges, result.plan, settings.options, &result.report);
  // Ranges found at run time hang on no samples.
  const bool measured =
      !settings.options.dynamic || settings.smooth.any() || settings.rotate == Rotation::by_noise;
  const Dataset* samples = measured ? calibration.samples.get() : nullptr;
  QuantizationRecord record = record_of(model, samples, run.seed);
  if (ranges != nullptr) record.ranges = Sha256().add(to_json(*ranges)).hex();
  store_provenance(result, record, settings);
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
       "--weights {} cannot be kept together with a budget, which decides the bits",
       settings.plan.fallback.weight_bits);
}

ChosenBits choose_model_bits(const Graph& model, const SampleSource& data,
                             const QuantizeSettings& given, const RunSettings& run) {
  if (!has_budget(given)) {
    fail(ErrorCode::invalid_argument,
         "there is no budget to choose bits for: give --average-bits, --max-size, --max-bops or "
         "--max-latency");
  }
  Calibration calibration =
      open_calibration(prepare_model(model, given), data, given.calibration, run);
  const QuantizeSettings settings = settings_for(given, calibration, run);
  if (calibration.samples == nullptr) fail_without_data(*why_data(settings, false));
  ChosenBits chosen;
  RangeReport ranges = measure_ranges(calibration, run);
  if (settings.rotate != Rotation::none) rotate_model(calibration, ranges, settings, run);
  if (settings.smooth.any()) smooth_model(calibration, ranges, settings, run);
  chosen.choice = choose_for_budget(calibration, ranges, settings, run);
  chosen.float_graph = std::move(calibration.graph);
  return chosen;
}

}  // namespace nibble
