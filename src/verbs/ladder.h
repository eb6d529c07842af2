// From a goal to a quantized network: settings are tried from cheap to expensive until the smallest
// is found that keeps to the goal, each decided by an interval.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report/causes/figures.h"
#include "verbs/goal.h"
#include "verbs/quantize.h"

#pragma GCC visibility push(default)
namespace nibble {

/// One setting that was tried.
struct Rung {
  std::string setting;     // "W4A8, gptq"
  int64_t bytes = 0;       // of the file
  double weight_bits = 0;  // on average, of the layers with weights
  Verdict verdict;
  std::string next;    // why it went on or stopped
  double seconds = 0;  // to make it and to judge it
};

struct Ladder {
  std::vector<Rung> rungs;  // in the order in which they were tried
  size_t chosen = 0;        // the smallest that keeps to the goal; if none does, the nearest
  bool met = false;
  Quantized result;  // of the chosen one
  int64_t calibration_samples = 0, decision_samples = 0;
  std::optional<Verdict> report;  // on samples that decided nothing; none if there are none
  /// If no rung keeps to the goal: what each layer of the nearest adds, on samples of the
  /// calibration.
  std::vector<LayerFigures> costs;
  bool within_budget = false;  // a budget decided the bits
};

/// Told a sentence of progress: before it starts, and after each rung.
using LadderSink = std::function<void(const std::string&)>;

/// The training samples are divided: some calibrate (as quantize_model() draws them), the others
/// decide; the validation split reports. What is asked of a decision allows for all that may be
/// made: together their error is 5 %. `settings` says observers, target, what is skipped, and the
/// bits of activations; a budget among them decides the bits of weights, and then roundings are
/// tried until one keeps to the goal. Throws Error{invalid_argument} if `settings` give the bits of
/// weights, or if too few samples are left to decide.
Ladder climb(const Graph& model, const SampleSource& data, const QuantizeSettings& settings,
             const Goal& goal, const RunSettings& run, const LadderSink& told = {});

/// Of a ladder that is not met: how near it came.
std::string missed_text(const Ladder& ladder);
/// "W4A8, gptq: 187 kB, 12.3 s, top1 88.20 %, -0.26 [-0.48, -0.05] points: kept; ..."
std::string rung_text(const Rung& rung);

}  // namespace nibble
#pragma GCC visibility pop
