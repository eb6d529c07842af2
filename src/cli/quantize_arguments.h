// The options of quantization, shared by `quantize`, `qat` and the demo, and the way from a float
// model to a typed graph.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "nibble/quantize.h"
#include "nibble/ranges.h"

namespace nibble::cli {

struct QuantizeArguments {
  // What is left empty or 0 was not given: the config file or the default holds.
  std::string weights;
  std::string activations;
  std::string config;
  std::string weight_observer;
  std::string activation_observer;
  std::string rounding;
  std::string target;
  double average_bits = 0;
  int64_t max_bytes = 0;
  int64_t block_size = 0;
  int64_t calibration = 0;
  bool dynamic = false;
  bool all_layers_low = false;
  bool no_bias_correction = false;
  std::vector<std::string> skip;
  void declare(CLI::App& app);
};

struct Quantized {
  Graph float_graph;  // prepared: what the quantized one is compared with and trained from
  RangeReport ranges;
  BitPlan plan;
  Graph graph;
  QuantizeReport report;
  std::string target;  // that the graph is made for
};

/// Calibrates on the training split, chooses bits if a budget is given, quantizes. Throws Error.
Quantized quantize_model(const Graph& model, const DataArguments& data,
                         const QuantizeArguments& arguments, const CommonOptions& common,
                         ProgressBar& progress);

Json to_json(const BitPlan& plan);

}  // namespace nibble::cli
