#include "quant/settings.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/option_rows.h"
#include "nibble/ranges.h"
#include "nibble/target.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;
using Bits = std::vector<std::pair<std::string, int>>;

const Bits kWeightBits = {{"8", 8}, {"6", 6}, {"4", 4}, {"3", 3}, {"2", 2}};
const Bits kLayerWeightBits = {{"8", 8}, {"6", 6}, {"4", 4}, {"3", 3}, {"2", 2}, {"none", 0}};
const Bits kActivationBits = {{"8", 8}, {"6", 6}, {"4", 4}, {"3", 3}, {"2", 2}, {"none", 0}};

std::vector<OptionRow<LayerBits>> make_layer_rows(const Bits& weight_bits) {
  return {
      choice_option<LayerBits>(
          {.flag = "--weights", .key = "weights", .help = "Bits of the weights"}, weight_bits,
          [](auto& bits) -> auto& { return bits.weight_bits; }),
      choice_option<LayerBits>(
          {.flag = "--activations",
           .key = "activations",
           .help = "Bits of the activations (none: they stay in float, weight-only)"},
          kActivationBits, [](auto& bits) -> auto& { return bits.activation_bits; }),
  };
}

// Rows for members of QuantizeSettings, of its budget and of its QuantizeOptions.
template <typename Member>
OptionRow<QuantizeSettings> plain(OptionSpec spec, Member QuantizeSettings::*member) {
  return option<QuantizeSettings>(
      std::move(spec), [member](auto& s) -> auto& { return s.*member; });
}
template <typename Member>
OptionRow<QuantizeSettings> limit(OptionSpec spec, Member Budget::*member) {
  return option<QuantizeSettings>(
      std::move(spec), [member](auto& s) -> auto& { return s.budget.*member; });
}
template <typename Member>
OptionRow<QuantizeSettings> plain(OptionSpec spec, Member QuantizeOptions::*member) {
  return option<QuantizeSettings>(
      std::move(spec), [member](auto& s) -> auto& { return s.options.*member; });
}
// One of the rows of another table, by name.
OptionRow<QuantizeSettings> row_of(const std::vector<Choice>& rows, OptionSpec spec,
                                   std::string QuantizeOptions::*member) {
  spec.choices = option_choices(rows);
  return plain(std::move(spec), member);
}

std::vector<OptionRow<QuantizeSettings>> make_rows() {
  std::vector<OptionRow<QuantizeSettings>> rows;
  for (const OptionRow<LayerBits>& row : make_layer_rows(kWeightBits)) {
    rows.push_back(option_of_part<QuantizeSettings>(
        row, [](auto& settings) -> auto& { return settings.plan.fallback; }));
  }
  const auto add = [&](OptionRow<QuantizeSettings> row) { rows.push_back(std::move(row)); };
  add(limit({.flag = "--average-bits",
             .key = "average_bits",
             .help = "Choose 8 or 4 bits per layer for this average over all weights",
             .least = 2,
             .most = 8,
             .one_of = "budget"},
            &Budget::average_weight_bits));
  add(limit({.flag = "--max-size",
             .key = "max_bytes",
             .help = "Choose 8 or 4 bits per layer for a file of at most this many bytes",
             .least = 1,
             .units = byte_units(),
             .one_of = "budget"},
            &Budget::file_bytes));
  add(limit({.flag = "--max-bops",
             .key = "max_bops",
             .help = "Choose 8 or 4 bits per layer for at most this many bit operations: "
                     "multiplications times the bits of both factors, of one sample",
             .above = 0,
             .units = count_units(),
             .one_of = "budget"},
            &Budget::bit_operations));
  add(limit({.flag = "--max-latency",
             .key = "max_latency_s",
             .help = "Choose 8 or 4 bits, or float, per layer for a latency of at most this, as "
                     "measured here (one sample, --threads or 1)",
             .above = 0,
             .units = time_units(),
             .needs_unit = true,
             .one_of = "budget"},
            &Budget::latency_s));
  add(plain({.flag = "--block-size",
             .key = "block_size",
             .help = "Weights share a scale in blocks of this size along the reduction axis (0: "
                     "one per output channel)",
             .least = 0},
            &QuantizeOptions::weight_block_size));
  add(row_of(observer_choices(),
             {.flag = "--weight-observer",
              .key = "weight_observer",
              .help = "How the range of a weight is clipped"},
             &QuantizeOptions::weight_observer));
  add(row_of(observer_choices(),
             {.flag = "--activation-observer",
              .key = "activation_observer",
              .help = "How the range of an activation is clipped"},
             &QuantizeOptions::activation_observer));
  add(plain(
      {.flag = "--percentile",
       .key = "percentile",
       .help = "What the percentile observer keeps: this share of the values, in percent, lies "
               "below the upper end, and as much above the lower",
       .least = 51,
       .most = 100},
      &QuantizeOptions::percentile));
  add(choice_option<QuantizeSettings, Rotation>(
      {.flag = "--rotate",
       .key = "rotate",
       .help = "Mix the channels of activations by orthogonal matrices that go into the constants "
               "around them: where it predicts less noise (auto), or wherever it can (all)"},
      {{"none", Rotation::none}, {"auto", Rotation::by_noise}, {"all", Rotation::all}},
      [](auto& settings) -> auto& { return settings.rotate; }));
  add(choice_option<QuantizeSettings, Smoothing>(
      {.flag = "--smooth",
       .key = "smooth",
       .help = "Even out the channels of activations that share a scale; the weights behind them "
               "take this share of the differences, or for each activation what predicts the "
               "least noise (auto, which multiplies before matrix products where nothing else "
               "can)"},
      {{"none", {}},
       {"auto", {.by_noise = true}},
       {"0.25", {.share = 0.25}},
       {"0.5", {.share = 0.5}},
       {"0.75", {.share = 0.75}},
       {"1", {.share = 1}}},
      [](auto& settings) -> auto& { return settings.smooth; }));
  add(row_of(rounding_choices(),
             {.flag = "--rounding", .key = "rounding", .help = "How weights are rounded"},
             &QuantizeOptions::rounding));
  add(row_of(
      target_choices(),
      {.flag = "--target", .key = "target", .help = "The runtime that the file is meant for"},
      &QuantizeOptions::target));
  add(plain({.flag = "--calibration",
             .key = "calibration",
             .help = "Training samples to calibrate on",
             .least = 1},
            &QuantizeSettings::calibration));
  add(plain(
      {.flag = "--dynamic", .key = "dynamic", .help = "Activation ranges are found at run time"},
      &QuantizeOptions::dynamic));
  add(plain({.flag = "--no-8bit-ends",
             .key = "first_and_last_8bit",
             .help = "The first and the last layer may go under 8 bits too",
             .flag_value = false},
            &QuantizeOptions::first_and_last_8bit));
  add(plain({.flag = "--no-8bit-sums",
             .key = "eight_bit_sums",
             .help = "What skip connections add up has as few bits as the layers that read it",
             .flag_value = false},
            &QuantizeOptions::eight_bit_sums));
  add(plain({.flag = "--no-bias-correction",
             .key = "bias_correction",
             .help = "Do not move biases by the mean error that rounding makes",
             .flag_value = false},
            &QuantizeOptions::bias_correction));
  add(plain({.flag = "--no-pair-safe",
             .key = "pair_safe",
             .help = "Do not widen weight scales where the target's kernels for x86 CPUs without "
                     "VNNI might saturate pairs of products",
             .flag_value = false},
            &QuantizeOptions::pair_safe));
  add(plain({.flag = "--skip", .key = "skip", .help = "Nodes that stay in float, by name: a,b"},
            &QuantizeOptions::skip));
  return rows;
}

void read_layers(const Json& layers, QuantizeSettings& settings) {
  for (const auto& [node, entry] : detail::members_of(layers)) {
    with_context([&, &name = node] { return fmt::format("layer '{}'", name); },
                 [&, &name = node, &members = entry] {
                   LayerBits bits = settings.plan.fallback;
                   const auto rows = layer_option_rows();
                   apply_options(options_from_json(*members, rows), rows, bits);
                   settings.plan.layers[name] = bits;
                 });
  }
}

}  // namespace

std::span<const OptionRow<LayerBits>> layer_option_rows() {
  static const std::vector<OptionRow<LayerBits>> rows = make_layer_rows(kLayerWeightBits);
  return rows;
}

std::span<const OptionRow<QuantizeSettings>> quantize_option_rows() {
  static const std::vector<OptionRow<QuantizeSettings>> rows = make_rows();
  return rows;
}

void apply_settings_json(std::string_view text, QuantizeSettings& settings) {
  static constexpr std::array<std::string_view, 1> kLayers = {"layers"};
  const Json object = Json::parse(text, nullptr, false, true);
  if (!object.is_object()) fail(ErrorCode::invalid_argument, "the file is not a JSON object");
  const auto rows = quantize_option_rows();
  apply_options(options_from_json<QuantizeSettings>(object, rows, kLayers), rows, settings);
  const auto layers = object.find(kLayers[0]);
  if (layers != object.end()) read_layers(*layers, settings);
}

Json settings_to_json(const QuantizeSettings& settings) {
  Json object = options_to_json<QuantizeSettings>(quantize_option_rows(), settings, {});
  for (const auto& [node, bits] : settings.plan.layers) {
    if (bits == settings.plan.fallback) continue;
    object["layers"][node] =
        options_to_json<LayerBits>(layer_option_rows(), bits, settings.plan.fallback);
  }
  return object;
}

void check_settings(const QuantizeSettings& settings) {
  const bool budget = settings.budget.given();
  const bool all_8bit =
      settings.plan.fallback == LayerBits{} && settings.plan.layers.empty() && !budget;
  if (settings.options.dynamic && !all_8bit) {
    fail(ErrorCode::invalid_argument,
         "dynamic quantization is 8 bits for weights and activations alike");
  }
  const auto weight_only = [](const auto& layer) { return layer.second.activation_bits == 0; };
  if (settings.options.weight_block_size > 0 && settings.plan.fallback.activation_bits != 0 &&
      std::ranges::none_of(settings.plan.layers, weight_only)) {
    fail(ErrorCode::invalid_argument,
         "weights in blocks of {} need activations in float (--activations none); layers that run "
         "as integers have one weight scale per output channel",
         settings.options.weight_block_size);
  }
}

ChooseOptions choose_options(const QuantizeSettings& settings) {
  ChooseOptions options{.activation_bits = settings.plan.fallback.activation_bits,
                        .quantize = settings.options};
  for (const auto& [node, bits] : settings.plan.layers) {
    options.fixed_weight_bits[node] = bits.weight_bits;
  }
  return options;
}

}  // namespace nibble
