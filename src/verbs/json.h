// The results of verbs for machines: what --json prints and what other languages get. Numbers that
// are infinite or undefined become null where JSON is written.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "verbs/explain.h"
#include "verbs/judge.h"
#include "verbs/ladder.h"
#include "verbs/quantize.h"
#include "verbs/train.h"

#pragma GCC visibility push(default)
namespace nibble {

using Json = nlohmann::ordered_json;

/// What was measured and done, without sizes of files: calibration_samples, quantized_layers, plan,
/// layers, skipped, notes, and where a budget decided "choice".
Json to_json(const Quantized& result);
Json to_json(const BitPlan& plan);
Json to_json(const std::map<std::string, LayerBits>& layers);
/// `layers`: each point of the front with the bits of its layers, and what was measured of each.
Json to_json(const BitChoice& choice, bool layers = true);
Json to_json(const ChosenLatency& latency);
/// {"met", "chosen", "calibration_samples", "decision_samples", "rungs": [...], "report"}, and
/// "costs" if it is not met.
Json to_json(const Ladder& ladder);

/// best_epoch (from 1; 0: none was better than the start, which is kept), its validation accuracy
/// with interval (without labels its SQNR and the outputs' before and after), its score by the
/// metric that was asked for, what the start's was, and all epochs.
Json to_json(const Trained& trained);

/// {"metric": "top1", "models": [...]}, or {"metrics": [...]}. `models` are the names.
Json to_json(const Judgement& judgement, const std::vector<std::string>& models);
Json reports_json(const std::vector<std::string>& models, std::span<const MetricReport> reports);
/// {"reference", "quantized", "samples", "outputs", "layers", "costs"}.
Json to_json(const Comparison& comparison, const std::vector<std::string>& models);
/// {"bytes", "tried": [{"nodes", "remedy", "settings", "bytes"}], "outputs"}; `models` are the
/// names of the float model and the quantized one, and what was tried is called by its settings.
Json to_json(const Explanation& explanation, std::vector<std::string> models);
Json to_json(const Latency& latency);

}  // namespace nibble
#pragma GCC visibility pop
