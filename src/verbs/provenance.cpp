#include "verbs/provenance.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "data/digest.h"
#include "nibble/version.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "train/options.h"
#include "verbs/json.h"

namespace nibble {
namespace {

constexpr const char* kMetadataKey = "nibble.provenance";

void store(Graph& graph, const Json& provenance) {
  graph.metadata[kMetadataKey] = provenance.dump();
}

Json step_of(const QuantizationRecord& record, const QuantizeSettings& settings) {
  Json step = {{"verb", "quantize"}, {"version", version()}, {"model", record.model}};
  if (!record.data.empty()) step.update({{"data", record.data}, {"samples", record.samples}});
  if (!record.ranges.empty()) step["ranges"] = record.ranges;
  step.update({{"seed", record.seed}, {"options", settings_to_json(settings)}});
  return step;
}

// Bits that were chosen are given from now on.
QuantizeSettings with_plan(const QuantizeSettings& settings, const BitPlan& plan, int64_t samples) {
  QuantizeSettings given = settings;
  given.plan = plan;
  given.budget = {};
  if (samples > 0) given.calibration = samples;
  return given;
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

std::optional<Json> provenance_of(const Graph& graph) {
  const auto entry = graph.metadata.find(kMetadataKey);
  if (entry == graph.metadata.end()) return std::nullopt;
  Json provenance = Json::parse(entry->second, nullptr, false);
  const auto is_step = [](const Json& step) {
    return step.is_object() && step.contains("verb") && step["verb"].is_string();
  };
  const bool good = provenance.is_object() && provenance.contains("steps") &&
                    provenance["steps"].is_array() && !provenance["steps"].empty() &&
                    std::ranges::all_of(provenance["steps"], is_step);
  if (!good) {
    fail(ErrorCode::invalid_model,
         "metadata {}: expected an object with the steps that made the model, got '{}'",
         kMetadataKey, entry->second.substr(0, 80));
  }
  return provenance;
}

std::string digest_of_network(const Graph& graph) {
  Sha256 digest;
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    digest.add(path).add(to_text(one));
    for (int32_t i = 0; i < one.value_count(); ++i) {
      const Value& value = one.value({i});
      if (!value.is_constant()) continue;
      digest.add(value.name);
      digest.add({static_cast<const std::byte*>(value.data.raw()), value.data.bytes()});
    }
  });
  return digest.hex();
}

QuantizationRecord record_of(const Graph& model, const Dataset* calibration, uint64_t seed) {
  QuantizationRecord record{.model = digest_of_network(model), .data = {}, .seed = seed};
  if (calibration != nullptr) {
    record.data = digest_of_samples(*calibration);
    record.samples = calibration->size();
  }
  return record;
}

void store_provenance(Quantized& result, const QuantizationRecord& record,
                      const QuantizeSettings& settings) {
  const QuantizeSettings given = with_plan(settings, result.plan, record.samples);
  Json step = step_of(record, given);
  if (result.choice && result.choice->latency) step["latency"] = to_json(*result.choice->latency);
  store(result.graph, {{"steps", {std::move(step)}}});
}

int64_t provenance_bytes(const Graph& graph, int64_t samples, uint64_t seed,
                         const QuantizeSettings& settings) {
  constexpr int64_t kOverhead = 64;           // of the entry, and of what closes the JSON
  const std::string digest = Sha256().hex();  // all are as long
  const QuantizationRecord record{
      .model = digest, .data = digest, .samples = samples, .seed = seed};
  // Bits that a layer does not have by default are written.
  const auto other = [](int bits) { return bits == 6 ? 4 : 6; };
  BitPlan plan = settings.plan;
  const LayerBits written{other(plan.fallback.weight_bits), other(plan.fallback.activation_bits)};
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    for (const NodeId id : one.nodes()) {
      if (has_weight(one, one.node(id))) plan.layers[path + one.node(id).name] = written;
    }
  });
  const QuantizeSettings given = with_plan(settings, plan, record.samples);
  return std::ssize(step_of(record, given).dump()) + kOverhead;
}

void store_score(Graph& graph, const Verdict& verdict) {
  std::optional<Json> provenance = provenance_of(graph);
  if (!provenance) return;
  Json score = {{"metric", verdict.metric},
                {"samples", verdict.samples},
                {"value", verdict.value},
                {"change", verdict.change},
                {"interval", {verdict.interval.low, verdict.interval.high}},
                {"confidence", verdict.confidence}};
  if (!verdict.output.empty()) score["output"] = verdict.output;
  (*provenance)["steps"].back()["scores"].push_back(std::move(score));
  store(graph, *provenance);
}

void store_training(Trained& trained, std::string_view verb, const Dataset& training,
                    const TrainOptions& options) {
  Json provenance = provenance_of(trained.graph).value_or(Json{{"steps", Json::array()}});
  const Epoch& best = trained.best();
  TrainOptions told = options;
  for (const OptionRow<TrainOptions>& row : train_option_rows()) {
    if (!shapes_result(row.spec)) row.set(told, std::nullopt);
  }
  Json score = {{"metric", trained.labelled ? "top1" : "sqnr"},
                {"samples", best.validation_samples},
                {"value", trained.labelled ? best.validation_accuracy : best.validation_sqnr_db}};
  if (!trained.metric.empty()) {
    score = {{"metric", trained.metric},
             {"samples", best.score->samples},
             {"value", best.score->value},
             {"interval", {best.score->low, best.score->high}}};
  }
  provenance["steps"].push_back(
      {{"verb", verb},
       {"version", version()},
       {"data", digest_of_samples(training)},
       {"samples", training.size()},
       {"seed", options.seed},
       {"options", options_to_json<TrainOptions>(train_option_rows(), told, {})},
       {"best_epoch", trained.best_epoch + 1},
       {"scores", {std::move(score)}}});
  store(trained.graph, provenance);
}

Recipe recipe_of(const Graph& quantized) {
  const std::optional<Json> provenance = provenance_of(quantized);
  if (!provenance) {
    fail(ErrorCode::invalid_model,
         "the model does not say how it was made: there is no metadata '{}' in it", kMetadataKey);
  }
  const Json& steps = (*provenance)["steps"];
  for (const Json& step : steps) {
    if (step["verb"] == "quantize") continue;
    fail(ErrorCode::unsupported,
         "the model was trained after it was quantized ({}): see `nibble provenance` for the "
         "options, and train again with them",
         step["verb"].get<std::string>());
  }
  const Json& step = steps.front();
  Recipe recipe{.settings = {}, .seed = step.value("seed", uint64_t{0})};
  with_context([] { return fmt::format("metadata {}", kMetadataKey); },
               [&] {
                 if (!step.contains("options")) {
                   fail(ErrorCode::invalid_model, "the options are missing");
                 }
                 apply_settings_json(step["options"].dump(), recipe.settings);
               });
  return recipe;
}

Reproduction reproduce(const Graph& quantized, Graph model, const SampleSource& data,
                       const RunSettings& run, const RangeReport* ranges) {
  const Recipe recipe = recipe_of(quantized);
  const Json step = (*provenance_of(quantized))["steps"].front();
  if (step.contains("ranges") && ranges == nullptr) {
    fail(ErrorCode::invalid_argument,
         "the model was made from a range report: give the same with --ranges");
  }
  RunSettings same = run;
  same.seed = recipe.seed;
  std::array<Graph, 2> models = {quantized, std::move(model)};
  data.settle(models);
  Reproduction made{.result = quantize_model(models[1], data, recipe.settings, same, ranges),
                    .differences = {}};
  const Json again = (*provenance_of(made.result.graph))["steps"].front();
  const auto compare = [&](const char* key, const char* what) {
    const std::string was = text_of(step, key), is = text_of(again, key);
    if (was == is) return;
    const auto name = [](const std::string& text) {
      return text.empty() ? std::string("none") : text.substr(0, 12);
    };
    made.differences.push_back(fmt::format("{}: {} then, {} now", what, name(was), name(is)));
  };
  compare("version", "Another version of Nibble");
  compare("model", "Another float model");
  compare("data", "Other samples");
  compare("ranges", "Another range report");
  Json full = *provenance_of(made.result.graph);
  // What was measured of it, which is not measured again.
  for (const char* key : {"latency", "scores"}) {
    if (step.contains(key)) full["steps"].front()[key] = step[key];
  }
  store(made.result.graph, full);
  return made;
}

}  // namespace nibble
