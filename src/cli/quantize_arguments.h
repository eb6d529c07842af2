// The options of quantization, shared by `quantize`, `qat` and the demo, and the way from a float
// model to a typed graph.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/option_flags.h"
#include "nibble/ranges.h"
#include "quant/settings.h"

namespace nibble::cli {

/// The table of quant/settings.h as flags, and --config.
struct QuantizeArguments {
  OptionFlags<QuantizeSettings> flags;
  std::string config;
  void declare(CLI::App& app);
  /// What the config file says, then what the flags say.
  QuantizeSettings resolve(const CommonOptions& common) const;
};

struct Quantized {
  Graph float_graph;  // prepared: what the quantized one is compared with and trained from
  RangeReport ranges;
  BitPlan plan;
  Graph graph;
  QuantizeReport report;
  std::string target;  // that the graph is made for
};

/// Calibrates on the training split, chooses bits if a budget is given, quantizes. No data are
/// needed where nothing is measured: for weights alone, and where ranges are found at run time.
/// Throws Error.
Quantized quantize_model(const Graph& model, const DataArguments& data,
                         const QuantizeSettings& settings, const CommonOptions& common,
                         ProgressBar& progress);

/// Throws Error{unsupported}, saying why, if not one layer was quantized.
void require_quantized(const Quantized& result);

Json to_json(const BitPlan& plan);
Json to_json(const std::map<std::string, LayerBits>& layers);

}  // namespace nibble::cli
