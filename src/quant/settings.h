// All that quantization can be told, and the table of its options: what flags, nibble.json and
// other languages can say. A new option is a field below, or in QuantizeOptions, and a row in
// settings.cpp.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>

#include "base/options.h"
#include "nibble/quantize.h"
#include "quant/rotation.h"
#include "quant/smoothing.h"

#pragma GCC visibility push(default)
namespace nibble {

struct QuantizeSettings {
  BitPlan plan;
  Budget budget;  // nothing set: the plan holds
  QuantizeOptions options;
  int64_t calibration = 512;         // training samples
  Rotation rotate = Rotation::none;  // rotate_channels(), before all else
  Smoothing smooth;                  // smooth_activations(), before all that follows
};

/// Options of all layers.
std::span<const OptionRow<QuantizeSettings>> quantize_option_rows();
/// Options that one layer can have for itself: {"layers": {"conv1": {"weights": 8}}} in JSON.
std::span<const OptionRow<LayerBits>> layer_option_rows();

/// Sets what a nibble.json says: a JSON object (comments are allowed) of the rows' keys, and of
/// "layers". Throws Error{invalid_argument} for what is unknown, of the wrong type or out of range.
void apply_settings_json(std::string_view text, QuantizeSettings& settings);

/// Such an object, of what is not as it is by default: apply_settings_json() makes the same
/// settings of it.
nlohmann::ordered_json settings_to_json(const QuantizeSettings& settings);

/// Throws Error{invalid_argument} for what makes no sense together.
void check_settings(const QuantizeSettings& settings);

/// For choose_bits(), if `settings.budget` is set.
ChooseOptions choose_options(const QuantizeSettings& settings);

}  // namespace nibble
#pragma GCC visibility pop
