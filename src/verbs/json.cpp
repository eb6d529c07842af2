#include "verbs/json.h"

#include <cmath>

#include "report/causes/costs_json.h"

namespace nibble {
namespace {

std::string_view method_name(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::none:
      return "none";
    case IntervalMethod::exact:
      return "exact";
    case IntervalMethod::bootstrap:
      return "bootstrap-bca";
    case IntervalMethod::bias_corrected:
      return "bootstrap-bc";
  }
  return "";
}

std::string_view unit_name(MetricUnit unit) {
  if (unit == MetricUnit::share) return "share";
  return unit == MetricUnit::decibels ? "dB" : "";
}

Json interval_json(const Interval& interval) { return {interval.low, interval.high}; }

Json difference_json(const MeasuredDifference& difference, const std::string& base) {
  Json json = {{"from", base},
               {"value", difference.value},
               {"interval_95", interval_json(difference.interval)},
               {"interval_method", method_name(difference.method)}};
  if (difference.p_value) json["p_value"] = *difference.p_value;
  return json;
}

Json to_json(const LayerBits& bits) {
  return {{"weights", bits.weight_bits}, {"activations", bits.activation_bits}};
}

Json to_json(const std::string& model, const Evaluation& evaluation) {
  return {{"model", model},
          {"accuracy", evaluation.accuracy()},
          {"samples", evaluation.samples},
          {"correct", evaluation.correct},
          {"interval_95", interval_json(evaluation.interval)},
          {"output", evaluation.output},
          {"nan_samples", evaluation.nan_samples},
          {"notes", evaluation.notes}};
}

Json verdict_json(const Verdict& verdict) {
  Json json = {{"metric", verdict.metric},
               {"unit", unit_name(verdict.unit)},
               {"samples", verdict.samples},
               {"value", verdict.value},
               {"change", verdict.change},
               {"confidence", verdict.confidence},
               {"interval", interval_json(verdict.interval)},
               {"margin", verdict.margin},
               {"kept", verdict.kept()},
               {"outcome", verdict.outcome()},
               {"text", verdict_text(verdict)}};
  if (!verdict.output.empty()) json["output"] = verdict.output;
  if (verdict.would_decide) json["would_decide"] = *verdict.would_decide;
  return json;
}

Json layers_json(const std::vector<LayerError>& errors) {
  Json layers = Json::array();
  for (const LayerError& error : errors) {
    layers.push_back({{"value", error.value},
                      {"node", error.node},
                      {"op", error.op},
                      {"sqnr_db", error.sqnr_db},
                      {"cosine", error.cosine},
                      {"max_abs_error", error.max_abs_error}});
  }
  return layers;
}

Json score_json(const std::string& metric, const EpochScore& score) {
  return {{"metric", metric},
          {"value", score.value},
          {"interval_95", interval_json({score.low, score.high})},
          {"samples", score.samples}};
}

}  // namespace

Json to_json(const std::map<std::string, LayerBits>& layers) {
  Json json = Json::object();
  for (const auto& [node, bits] : layers) json[node] = to_json(bits);
  return json;
}

Json to_json(const BitPlan& plan) {
  return {{"default", to_json(plan.fallback)}, {"layers", to_json(plan.layers)}};
}

Json to_json(const Quantized& result) {
  Json json = {{"calibration_samples", result.ranges.samples},
               {"quantized_layers", result.report.quantized_layers},
               {"plan", to_json(result.plan)},
               {"layers", to_json(result.report.layers)},
               {"skipped", Json::array()}};
  for (const auto& skipped : result.report.why_not) {
    json["skipped"].push_back({{"node", skipped.node},
                               {"op", skipped.op},
                               {"parameters", skipped.parameters},
                               {"reason", skipped.reason}});
  }
  json["notes"] = result.ranges.notes;
  for (const std::string& note : result.report.notes) json["notes"].push_back(note);
  if (result.choice) json["choice"] = to_json(*result.choice, false);
  return json;
}

Json to_json(const Ladder& ladder) {
  Json json = {{"met", ladder.met},
               {"chosen", ladder.chosen},
               {"calibration_samples", ladder.calibration_samples},
               {"decision_samples", ladder.decision_samples},
               {"rungs", Json::array()}};
  for (const Rung& rung : ladder.rungs) {
    json["rungs"].push_back({{"setting", rung.setting},
                             {"bytes", rung.bytes},
                             {"weight_bits", rung.weight_bits},
                             {"verdict", verdict_json(rung.verdict)},
                             {"next", rung.next},
                             {"seconds", rung.seconds}});
  }
  json["report"] = ladder.report ? verdict_json(*ladder.report) : Json();
  if (!ladder.met) json["costs"] = costs_json(ladder.costs);
  return json;
}

namespace {

Json sensitivities_json(const std::vector<Sensitivity>& sensitivities) {
  Json json = Json::array();
  for (const Sensitivity& one : sensitivities) {
    json.push_back({{"node", one.node},
                    {"bits", one.bits},
                    {"sqnr_db", one.sqnr_db},
                    {"weights", one.weights}});
  }
  return json;
}

Json point_json(const FrontPoint& point, bool layers) {
  Json json = {{"average_weight_bits", point.average_weight_bits}, {"sqnr_db", point.sqnr_db}};
  if (point.file_bytes) json["file_bytes"] = *point.file_bytes;
  if (point.bit_operations) json["bit_operations"] = *point.bit_operations;
  if (point.latency_s) json["latency_s"] = *point.latency_s;
  if (layers) json["layers"] = point.weight_bits;
  return json;
}

// Under the keys of the points' members.
Json budget_json(const Budget& budget) {
  if (budget.file_bytes) return {{"file_bytes", *budget.file_bytes}};
  if (budget.bit_operations) return {{"bit_operations", *budget.bit_operations}};
  if (budget.latency_s) return {{"latency_s", *budget.latency_s}};
  return {{"average_weight_bits", budget.average_weight_bits.value_or(0)}};
}

}  // namespace

Json to_json(const ChosenLatency& latency) {
  return {{"budget_s", latency.budget_s},
          {"predicted_s", latency.predicted_s},
          {"median_s", latency.median_s},
          {"interval_95", interval_json({latency.low_s, latency.high_s})},
          {"runs", latency.runs},
          {"networks", latency.networks},
          {"conditions", latency.conditions}};
}

Json to_json(const BitChoice& choice, bool layers) {
  Json json = {{"average_weight_bits", choice.average_weight_bits},
               {"budget", budget_json(choice.budget)},
               {"chosen", point_json(choice.point, false)}};
  if (choice.latency) json["latency"] = to_json(*choice.latency);
  if (layers) {
    json["plan"] = to_json(choice.plan);
    json["sensitivities"] = sensitivities_json(choice.sensitivities);
    json["activation_sensitivities"] = sensitivities_json(choice.activation_sensitivities);
  }
  json["front"] = Json::array();
  for (const FrontPoint& point : choice.front) json["front"].push_back(point_json(point, layers));
  return json;
}

Json to_json(const Trained& trained) {
  const Epoch& best = trained.best();
  const auto right =
      std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
  const auto validation = [&](const Epoch& epoch) {
    Json one = {{"validation_loss", epoch.validation_loss},
                {"validation_samples", epoch.validation_samples}};
    if (trained.labelled) {
      one["validation_accuracy"] = epoch.validation_accuracy;
    } else {
      one["validation_sqnr_db"] = epoch.validation_sqnr_db;
    }
    if (!trained.metric.empty()) one["score"] = score_json(trained.metric, *epoch.score);
    return one;
  };
  Json epochs = Json::array();
  for (const Epoch& epoch : trained.epochs) {
    Json one = validation(epoch);
    one.update({{"train_loss", epoch.train_loss}, {"learning_rate", epoch.learning_rate}});
    epochs.push_back(std::move(one));
  }
  Json json = {{"best_epoch", trained.best_epoch + 1}, {"stopped_early", trained.stopped_early}};
  if (!trained.metric.empty()) json["score"] = score_json(trained.metric, *best.score);
  if (trained.labelled) {
    json.update(
        {{"validation_accuracy", best.validation_accuracy},
         {"validation_samples", best.validation_samples},
         {"interval_95", interval_json(binomial_interval(right, best.validation_samples))}});
  } else {
    json.update({{"validation_sqnr_db", best.validation_sqnr_db},
                 {"validation_samples", best.validation_samples},
                 {"outputs", reports_json(trained.models, trained.outputs)}});
  }
  json["start"] = validation(trained.start);
  json["epochs"] = std::move(epochs);
  return json;
}

Json reports_json(const std::vector<std::string>& models, std::span<const MetricReport> reports) {
  Json all = Json::array();
  for (const MetricReport& report : reports) {
    Json measured = Json::array();
    for (size_t m = report.base; m < models.size(); ++m) {
      const Measurement& one = report.models[m];
      Json entry = {{"model", models[m]},
                    {"value", one.value},
                    {"samples", one.samples},
                    {"left_out", one.left_out},
                    {"interval_95", interval_json(one.interval)},
                    {"interval_method", method_name(one.method)},
                    {"notes", one.notes}};
      if (m > report.base) {
        entry["difference"] = difference_json(report.differences[m], models[report.base]);
      }
      measured.push_back(std::move(entry));
    }
    Json entry = {{"metric", report.metric}, {"output", report.output}};
    if (report.output.empty()) entry.erase("output");
    entry["unit"] = unit_name(report.unit);
    if (report.metric != "score") entry["larger_is_better"] = report.larger_is_better;
    if (report.base > 0) entry["against"] = models[0];
    entry["models"] = std::move(measured);
    all.push_back(std::move(entry));
  }
  return all;
}

Json to_json(const Judgement& judgement, const std::vector<std::string>& models) {
  if (judgement.accuracies.empty()) {
    return {{"metrics", reports_json(models, judgement.reports)}};
  }
  Json entries = Json::array();
  for (size_t i = 0; i < models.size(); ++i) {
    Json entry = to_json(models[i], judgement.accuracies[i]);
    if (i > 0) {
      const PairedTest test = compare_paired(judgement.accuracies[0], judgement.accuracies[i]);
      entry["paired"] = {{"difference", test.difference},
                         {"interval_95", interval_json(test.interval)},
                         {"only_first_right", test.only_first_right},
                         {"only_this_right", test.only_second_right},
                         {"p_value", test.p_value}};
    }
    entries.push_back(std::move(entry));
  }
  return {{"metric", "top1"}, {"models", std::move(entries)}};
}

Json to_json(const Comparison& comparison, const std::vector<std::string>& models) {
  return {{"reference", models.at(0)},
          {"quantized", models.at(1)},
          {"samples", comparison.samples},
          {"outputs", reports_json(models, comparison.outputs)},
          {"layers", layers_json(comparison.layers)},
          {"costs", costs_json(comparison.costs)}};
}

Json to_json(const Explanation& explanation, std::vector<std::string> models) {
  Json tried = Json::array();
  for (const TriedRemedy& one : explanation.tried) {
    models.push_back(one.settings.empty() ? one.remedy : one.settings);
    Json entry = {{"nodes", one.nodes}, {"remedy", one.remedy}, {"bytes", one.bytes}};
    if (!one.settings.empty()) entry["settings"] = Json::parse(one.settings);
    tried.push_back(std::move(entry));
  }
  return {{"bytes", explanation.bytes},
          {"tried", std::move(tried)},
          {"outputs", reports_json(models, explanation.outputs)}};
}

Json to_json(const Latency& latency) {
  return {{"threads", latency.threads}, {"batch", latency.batch},
          {"runs", latency.runs},       {"median_s", latency.median_s},
          {"p95_s", latency.p95_s},     {"samples_per_second", latency.samples_per_second}};
}

}  // namespace nibble
