#include "verbs/explain.h"

#include <algorithm>
#include <array>

#include "onnx/model_size.h"
#include "quant/settings.h"
#include "report/causes/causes.h"
#include "verbs/judge.h"
#include "verbs/provenance.h"

namespace nibble {
namespace {

// Each setting once.
std::vector<TriedRemedy> remedies(std::span<const LayerFigures> costs) {
  std::vector<TriedRemedy> result;
  for (const LayerFigures* layer : costliest(costs, kExplained)) {
    const std::optional<Cause> cause = cause_of(*layer);
    if (!cause || cause->settings.empty()) continue;
    const auto same = std::ranges::find(result, cause->settings, &TriedRemedy::settings);
    if (same != result.end()) {
      same->nodes.push_back(layer->node);
    } else {
      result.push_back(
          {.nodes = {layer->node}, .remedy = cause->remedy, .settings = cause->settings});
    }
  }
  return result;
}

}  // namespace

Explanation explain(const Graph& quantized, const Graph& model, std::span<const LayerFigures> costs,
                    const SampleSource& data, int64_t samples, const RunSettings& run) {
  const Recipe recipe = recipe_of(quantized);
  const Target& target = find_target(recipe.settings.options.target);
  Explanation explanation{
      .bytes = size_as_onnx(quantized, target), .tried = remedies(costs), .outputs = {}};
  if (explanation.tried.empty()) return explanation;
  if (explanation.tried.size() > 1) explanation.tried.push_back({.remedy = "all of these"});

  std::vector<Subject> subjects;
  subjects.push_back({.name = "the float model", .graph = model, .data = nullptr});
  subjects.push_back({.name = "the model", .graph = quantized, .data = nullptr});
  RunSettings same = run;
  same.seed = recipe.seed;
  std::array<Graph, 2> models = {quantized, model};
  data.settle(models);
  QuantizeSettings all = recipe.settings;
  for (TriedRemedy& one : explanation.tried) {
    QuantizeSettings settings = recipe.settings;
    if (one.settings.empty()) {
      settings = all;
    } else {
      apply_settings_json(one.settings, settings);
      apply_settings_json(one.settings, all);
    }
    Graph made = quantize_model(models[1], data, settings, same).graph;
    one.bytes = size_as_onnx(made, target);
    subjects.push_back({.name = one.remedy, .graph = std::move(made), .data = nullptr});
  }
  JudgeSettings judging{.samples = samples};
  judging.measure.metric = "sqnr";
  judging.measure.by_first_model = true;
  explanation.outputs = judge_models(subjects, data, judging, run).reports;
  return explanation;
}

}  // namespace nibble
