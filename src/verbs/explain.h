// What would have helped a quantized model: remedies that its causes name, tried.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nibble/measure.h"
#include "report/causes/figures.h"
#include "verbs/samples.h"

#pragma GCC visibility push(default)
namespace nibble {

struct TriedRemedy {
  std::vector<std::string> nodes;  // layers whose cause it is the remedy of
  std::string remedy;              // what to do, as Cause::remedy has it; of all of them together:
                                   // "all of these"
  std::string settings;            // nibble.json, on top of the model's own
  int64_t bytes = 0;               // of the file that it gives
};

struct Explanation {
  int64_t bytes = 0;  // of the model as it is
  std::vector<TriedRemedy> tried;
  /// By output, of the float model (which is judged by), the model as it is, and what each remedy
  /// gave: paired, on the same samples.
  std::vector<MetricReport> outputs;
};

constexpr size_t kExplained = 3;  // layers whose remedies are tried

/// Quantizes `model` again as the file of `quantized` says that it was made, but for one remedy at
/// a time of the kExplained costliest layers, and for all of them together; then measures how near
/// the outputs come to the float ones, on a draw of `samples` test samples. `costs` are those of
/// compare_models(). `data` calibrates as it did. Throws as recipe_of().
Explanation explain(const Graph& quantized, const Graph& model, std::span<const LayerFigures> costs,
                    const SampleSource& data, int64_t samples, const RunSettings& run);

}  // namespace nibble
#pragma GCC visibility pop
