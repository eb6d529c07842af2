// From a float model and samples to a quantized one: what `nibble quantize` does, and the start of
// `nibble qat`.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nibble/quantize.h"
#include "nibble/ranges.h"
#include "quant/settings.h"
#include "verbs/samples.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The float graph as all verbs see it, and the samples to look at.
struct Calibration {
  Graph graph;                             // prepared; remembers its data
  std::shared_ptr<const Dataset> samples;  // null: no data were given
};
/// Draws `count` training samples for a graph that is prepared (prepare_for_quantization()). Throws
/// as SampleSource::open() does.
Calibration open_calibration(Graph prepared, const SampleSource& data, int64_t count,
                             const RunSettings& run);

/// A budget decides the bits of weights.
bool has_budget(const QuantizeSettings& settings);
/// What both steps of quantize_model() do. The first throws Error for what cannot be asked of the
/// model; the second gives its settings what `calibration` and `run` say.
Graph prepare_model(const Graph& model, const QuantizeSettings& settings);
QuantizeSettings settings_for(const QuantizeSettings& given, const Calibration& calibration,
                              const RunSettings& run);
RangeReport measure_ranges(const Calibration& calibration, const RunSettings& run);
/// The bits that the budget of `settings` leads to. Of a file size, `reserved_bytes` are left for
/// what is added to the file later. Throws as choose_bits() does.
BitChoice choose_for_budget(const Calibration& calibration, const RangeReport& ranges,
                            const QuantizeSettings& settings, const RunSettings& run,
                            int64_t reserved_bytes = 0);
/// rotate_channels() by `settings.rotate`; then measures the ranges anew. False, with a note in
/// `ranges` that says why, if nothing was changed. Without samples only Rotation::all.
bool rotate_model(Calibration& calibration, RangeReport& ranges, const QuantizeSettings& settings,
                  const RunSettings& run);
/// smooth_activations() by `settings.smooth`; then measures the ranges anew. False, with a note in
/// `ranges`, if there was nothing to change.
bool smooth_model(Calibration& calibration, RangeReport& ranges, const QuantizeSettings& settings,
                  const RunSettings& run);

/// Dynamic range analysis of a model on `count` training samples.
RangeReport analyze_model(const Graph& model, const SampleSource& data, int64_t count,
                          const RunSettings& run);

struct Quantized {
  Graph float_graph;  // prepared: what the quantized one is compared with and trained from
  RangeReport ranges;
  BitPlan plan;
  Graph graph;
  QuantizeReport report;
  std::string target;               // that the graph is made for
  std::optional<BitChoice> choice;  // where a budget decided
};

/// Calibrates on the training split, chooses bits if a budget is given, quantizes. No data are
/// needed where nothing is measured: for weights alone, and where ranges are found at run time.
/// `ranges`, where they are given, are those of analyze() on this model: the data are then only
/// looked at by what measures more than ranges. Throws Error.
Quantized quantize_model(const Graph& model, const SampleSource& data,
                         const QuantizeSettings& settings, const RunSettings& run,
                         const RangeReport* ranges = nullptr);

/// Throws Error{unsupported}, saying why, if not one layer was quantized.
void require_quantized(const Quantized& result);

/// Throws Error{invalid_argument}: a budget decides the bits of weights, so they were not to be
/// `given` as well.
void check_budget_alone(const QuantizeSettings& settings, bool weights_given);

/// The bits that the budget of `settings` leads to, with all that was measured for it.
struct ChosenBits {
  BitChoice choice;
  Graph float_graph;
};
/// Throws Error{invalid_argument} if no budget is set or it cannot be met.
ChosenBits choose_model_bits(const Graph& model, const SampleSource& data,
                             const QuantizeSettings& settings, const RunSettings& run);

}  // namespace nibble
#pragma GCC visibility pop
