#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "report/page/findings.h"
#include "report/page/json_access.h"

namespace nibble::page {
namespace {

class Gatherer {
 public:
  void add(const RunStep& step);
  Findings take();

 private:
  ModelName model(const std::string& path);
  void note_models(const Json& provenance);
  void note_bytes(const ModelName& name, std::optional<uint64_t> bytes);
  ModelFacts& facts(const ModelName& name);
  std::string data_text() const;

  void add_quantization(const Json& result);
  void add_training(const RunStep& step);
  Making making(const Json& result, const std::string& verb);
  void add_accuracies(const Json& result);
  void add_reports(const Json& reports);
  void add_benchmark(const Json& result);
  void add_profile(const Json& result);
  std::string machine() const;
  void add_comparison(const Json& result);
  void add_ranges(const Json& result);
  void add_costs(const Json& result);
  ModelName first_model();

  Findings findings_;
  std::map<std::string, ModelName> by_digest_;
  std::map<std::string, std::string> digests_;  // by path, in the step at hand
  const RunStep* step_ = nullptr;
};

ModelFacts& Gatherer::facts(const ModelName& name) {
  for (ModelFacts& known : findings_.models) {
    if (known.name == name) return known;
  }
  findings_.models.push_back({.name = name});
  return findings_.models.back();
}

ModelName Gatherer::model(const std::string& path) {
  if (path.empty()) return {};
  const auto digest = digests_.find(path);
  if (digest == digests_.end()) return facts(path).name;
  const auto known = by_digest_.find(digest->second);
  if (known != by_digest_.end()) return known->second;
  ModelName name = path;
  for (int copy = 2; findings_.find(name) != nullptr; ++copy) {
    name = fmt::format("{} ({})", path, copy);
  }
  facts(name).sha256 = digest->second;
  by_digest_[digest->second] = name;
  return name;
}

void Gatherer::note_models(const Json& provenance) {
  digests_.clear();
  for (const Json& entry : items(provenance, "models")) {
    const std::string file = text(entry, "file"), digest = text(entry, "sha256");
    if (!file.empty() && !digest.empty()) digests_[file] = digest;
  }
  for (const Json& entry : items(provenance, "models")) {
    note_bytes(model(text(entry, "file")), bytes(entry, "bytes"));
  }
}

void Gatherer::note_bytes(const ModelName& name, std::optional<uint64_t> bytes) {
  if (!name.empty() && bytes) facts(name).bytes = bytes;
}

std::string Gatherer::data_text() const {
  for (const Json& entry : items(step_->provenance, "data")) {
    if (const std::string description = text(entry, "description"); !description.empty()) {
      return description;
    }
  }
  return {};
}

Making Gatherer::making(const Json& result, const std::string& verb) {
  Making made{
      .verb = verb, .from = model(text(result, "model")), .to = model(text(result, "output"))};
  made.architecture = text(result, "architecture");
  made.notes = texts(result, "notes");
  const Json& layers = member(result, "layers");
  if (layers.is_object()) {
    for (const auto& [node, bits] : layers.items()) {
      made.layers[node] = {static_cast<int>(count(bits, "weights")),
                           static_cast<int>(count(bits, "activations"))};
    }
  }
  return made;
}

namespace {

std::optional<BudgetFront::Point> front_point(const Json& json, const std::string& unit) {
  const auto cost = number(json, unit.c_str()), sqnr = number(json, "sqnr_db");
  if (!cost || !sqnr) return std::nullopt;  // nothing is lost there, or it is damaged
  return BudgetFront::Point{*cost, *sqnr, number(json, "average_weight_bits").value_or(0),
                            number(json, "bit_operations")};
}

std::optional<BudgetFront> budget_front(const Json& choice) {
  const Json& budget = member(choice, "budget");
  if (!budget.is_object() || budget.size() != 1) return std::nullopt;
  BudgetFront front{.unit = budget.begin().key()};
  front.budget = number(budget, front.unit.c_str()).value_or(0);
  for (const Json& entry : items(choice, "front")) {
    if (const auto point = front_point(entry, front.unit)) front.points.push_back(*point);
  }
  const auto chosen = front_point(member(choice, "chosen"), front.unit);
  if (!chosen || front.points.empty()) return std::nullopt;
  front.chosen = *chosen;
  const Json& latency = member(choice, "latency");
  const auto median = number(latency, "median_s");
  const auto ends = interval(latency, "interval_95");
  if (median && ends) {
    front.latency = {.predicted_s = number(latency, "predicted_s").value_or(0),
                     .median_s = *median,
                     .interval = *ends,
                     .runs = count(latency, "runs"),
                     .networks = count(latency, "networks"),
                     .conditions = text(latency, "conditions")};
  }
  return front;
}

}  // namespace

void Gatherer::add_quantization(const Json& result) {
  Making made = making(result, "quantize");
  note_bytes(made.from, bytes(result, "bytes_before"));
  note_bytes(made.to, bytes(result, "bytes_after"));
  made.quantized_layers = count(result, "quantized_layers");
  made.calibration_samples = count(result, "calibration_samples");
  for (const Json& entry : items(result, "skipped")) {
    made.skipped.push_back({text(entry, "node"), text(entry, "op"), text(entry, "reason"),
                            count(entry, "parameters")});
  }
  const Json& ladder = member(result, "ladder");
  for (const Json& rung : items(ladder, "rungs")) {
    const Json& verdict = member(rung, "verdict");
    made.attempts.push_back({.setting = text(rung, "setting"),
                             .bytes = bytes(rung, "bytes").value_or(0),
                             .weight_bits = number(rung, "weight_bits").value_or(0),
                             .seconds = number(rung, "seconds").value_or(0),
                             .gave = text(verdict, "text"),
                             .outcome = text(verdict, "outcome"),
                             .next = text(rung, "next")});
    made.confidence = number(verdict, "confidence").value_or(made.confidence);
  }
  if (!made.attempts.empty()) {
    made.chosen_attempt = static_cast<size_t>(count(ladder, "chosen"));
    made.decision_samples = count(ladder, "decision_samples");
    made.reported = text(member(ladder, "report"), "text");
  }
  made.front = budget_front(member(result, "choice"));
  findings_.makings.push_back(std::move(made));
}

void Gatherer::add_training(const RunStep& step) {
  Making made = making(step.result, step.verb);
  note_bytes(made.to, bytes(step.result, "bytes"));
  for (const Json& epoch : items(step.result, "epochs")) {
    made.labelled = made.labelled && !number(epoch, "validation_sqnr_db");
    made.epochs.push_back({.train_loss = number(epoch, "train_loss").value_or(0),
                           .validation_loss = number(epoch, "validation_loss").value_or(0),
                           .validation_accuracy = number(epoch, "validation_accuracy").value_or(0),
                           .validation_samples = count(epoch, "validation_samples"),
                           .validation_sqnr_db = number(epoch, "validation_sqnr_db").value_or(0),
                           .learning_rate = number(epoch, "learning_rate").value_or(0)});
  }
  made.best_epoch =
      std::min(count(step.result, "best_epoch"), static_cast<int64_t>(made.epochs.size()));
  made.quantized_layers = static_cast<int64_t>(made.layers.size());
  findings_.makings.push_back(std::move(made));
}

void Gatherer::add_accuracies(const Json& result) {
  ScoreTable table{.metric = "top1", .larger_is_better = true, .data = data_text()};
  for (const Json& entry : items(result, "models")) {
    Score score{.model = model(text(entry, "model")),
                .value = number(entry, "accuracy"),
                .interval = interval(entry, "interval_95"),
                .samples = count(entry, "samples"),
                .notes = texts(entry, "notes")};
    const Json& paired = member(entry, "paired");
    const auto difference = number(paired, "difference");
    if (difference && !table.scores.empty()) {
      score.difference = {table.scores.front().model, *difference, interval(paired, "interval_95"),
                          number(paired, "p_value")};
    }
    table.scores.push_back(std::move(score));
  }
  if (!table.scores.empty()) findings_.scores.push_back(std::move(table));
}

void Gatherer::add_reports(const Json& reports) {
  for (const Json& report : reports) {
    ScoreTable table{.metric = text(report, "metric"), .output = text(report, "output")};
    const std::string unit = text(report, "unit");
    table.unit = unit == "share" ? MetricUnit::share
                 : unit == "dB"  ? MetricUnit::decibels
                                 : MetricUnit::plain;
    const Json& better = member(report, "larger_is_better");
    if (better.is_boolean()) table.larger_is_better = better.get<bool>();
    table.against = model(text(report, "against"));
    table.data = data_text();
    for (const Json& entry : items(report, "models")) {
      Score score{.model = model(text(entry, "model")),
                  .value = number(entry, "value"),
                  .interval = interval(entry, "interval_95"),
                  .samples = count(entry, "samples"),
                  .left_out = count(entry, "left_out"),
                  .notes = texts(entry, "notes")};
      if (text(entry, "interval_method") == "none") score.interval.reset();
      const Json& difference = member(entry, "difference");
      if (const auto value = number(difference, "value")) {
        score.difference = {model(text(difference, "from")), *value,
                            interval(difference, "interval_95"), number(difference, "p_value")};
      }
      table.scores.push_back(std::move(score));
    }
    if (!table.scores.empty()) findings_.scores.push_back(std::move(table));
  }
}

std::string Gatherer::machine() const {
  const std::string cpu = text(step_->provenance, "cpu"), isa = text(step_->provenance, "isa");
  return cpu + (cpu.empty() || isa.empty() ? "" : ", ") + isa;
}

void Gatherer::add_benchmark(const Json& result) {
  Benchmark benchmark{.machine = machine()};
  for (const Json& entry : items(result, "models")) {
    const ModelName name = model(text(entry, "model"));
    if (name.empty()) continue;
    note_bytes(name, bytes(entry, "file_bytes"));
    if (const auto memory = bytes(entry, "peak_memory_bytes")) facts(name).memory = memory;
    for (const Json& latency : items(entry, "latencies")) {
      const auto median = number(latency, "median_s");
      if (!median || *median <= 0) continue;
      benchmark.timings.push_back({.model = name,
                                   .threads = static_cast<int>(count(latency, "threads")),
                                   .batch = count(latency, "batch"),
                                   .median_s = *median,
                                   .p95_s = number(latency, "p95_s").value_or(*median)});
    }
  }
  if (!benchmark.timings.empty()) findings_.benchmarks.push_back(std::move(benchmark));
}

namespace {

TimedStep timed_step(const Json& entry) {
  return {.node = text(entry, "node"),
          .op = text(entry, "op"),
          .kernel = text(entry, "kernel"),
          .kind = text(entry, "kind"),
          .arithmetic = text(entry, "arithmetic"),
          .steps = std::max<int64_t>(1, count(entry, "steps")),
          .seconds = number(entry, "median_s").value_or(number(entry, "seconds").value_or(0)),
          .share = std::clamp(number(entry, "share").value_or(0), 0.0, 1.0),
          .operations = number(entry, "operations_per_second"),
          .of_peak = number(entry, "of_peak"),
          .why_float = text(entry, "why_float"),
          .remedy = text(entry, "remedy")};
}

}  // namespace

void Gatherer::add_profile(const Json& result) {
  TimedModel timed{.model = model(text(result, "model")),
                   .machine = machine(),
                   .threads = static_cast<int>(count(result, "threads")),
                   .batch = count(result, "batch"),
                   .runs = count(result, "runs"),
                   .steps_s = number(result, "steps_s").value_or(0),
                   .whole_s = number(result, "whole_s").value_or(0)};
  for (const Json& entry : items(result, "steps")) timed.steps.push_back(timed_step(entry));
  for (const Json& entry : items(result, "kinds")) timed.kinds.push_back(timed_step(entry));
  if (!timed.steps.empty()) findings_.profiles.push_back(std::move(timed));
}

// The one that a step is about whose result does not say so.
ModelName Gatherer::first_model() {
  for (const Json& entry : items(step_->provenance, "models")) return model(text(entry, "file"));
  return {};
}

void Gatherer::add_comparison(const Json& result) {
  LayerComparison comparison{.reference = model(text(result, "reference")),
                             .quantized = model(text(result, "quantized")),
                             .samples = count(result, "samples")};
  for (const Json& entry : items(result, "costs")) {
    comparison.layers.push_back(
        {.node = text(entry, "node"),
         .op = text(entry, "op"),
         .value = text(entry, "value"),
         .weight_bits = static_cast<int>(count(entry, "weight_bits")),
         .activation_bits = static_cast<int>(count(entry, "activation_bits")),
         .before_db = number(entry, "sqnr_before_db"),
         .behind_db = number(entry, "sqnr_db"),
         .weight_db = number(entry, "weight_sqnr_db"),
         .input_db = number(entry, "input_sqnr_db"),
         .result_db = number(entry, "result_sqnr_db"),
         .share = std::clamp(number(entry, "share").value_or(0), 0.0, 1.0),
         .cost = text(entry, "cost"),
         .cause = text(entry, "cause"),
         .sentence = text(entry, "sentence"),
         .remedy = text(entry, "remedy")});
  }
  if (!comparison.layers.empty()) findings_.comparisons.push_back(std::move(comparison));
}

namespace {

TensorHistogram histogram_of(const Json& entry) {
  const Json& bins = member(entry, "histogram");
  TensorHistogram tensor{.name = text(entry, "name"),
                         .node = text(entry, "node"),
                         .is_weight = text(entry, "kind") == "weight",
                         .minimum = number(entry, "min").value_or(0),
                         .maximum = number(entry, "max").value_or(0),
                         .low = number(bins, "low").value_or(0),
                         .bin_width = number(bins, "bin_width").value_or(0)};
  for (const Json& one : items(bins, "counts")) {
    tensor.counts.push_back(std::max(0.0, number_of(one).value_or(0)));
  }
  for (const Json& line : items(entry, "clipping")) {
    const auto low = number(line, "low"), high = number(line, "high");
    if (!low || !high) continue;
    tensor.lines.push_back({.observer = text(line, "observer"),
                            .bits = static_cast<int>(count(line, "bits")),
                            .low = *low,
                            .high = *high});
  }
  return tensor;
}

}  // namespace

void Gatherer::add_ranges(const Json& result) {
  RangeSet set{.model = first_model(), .samples = count(result, "samples"), .data = data_text()};
  for (const Json& entry : items(result, "tensors")) {
    if (!text(entry, "unusable").empty()) continue;
    TensorHistogram tensor = histogram_of(entry);
    const bool drawn = tensor.bin_width > 0 && tensor.maximum > tensor.minimum;
    if (drawn && !tensor.counts.empty()) set.tensors.push_back(std::move(tensor));
  }
  if (!set.tensors.empty()) findings_.ranges.push_back(std::move(set));
}

void Gatherer::add_costs(const Json& result) {
  ModelCosts costs{.model = first_model(),
                   .parameters = count(result, "parameters"),
                   .macs = count(result, "macs")};
  note_bytes(costs.model, bytes(result, "file_bytes"));
  for (const Json& entry : items(result, "nodes")) {
    const Json& quantizable = member(entry, "quantizable");
    costs.nodes.push_back({.node = text(entry, "node"),
                           .op = text(entry, "op"),
                           .reason = text(entry, "reason"),
                           .parameters = count(entry, "parameters"),
                           .macs = count(entry, "macs"),
                           .quantizable = quantizable.is_boolean() && quantizable.get<bool>()});
  }
  if (!costs.nodes.empty()) findings_.costs.push_back(std::move(costs));
}

void Gatherer::add(const RunStep& step) {
  step_ = &step;
  note_models(step.provenance);
  const Json& result = step.result;
  if (step.verb == "quantize") add_quantization(result);
  if (step.verb == "train" || step.verb == "qat" || step.verb == "finetune") add_training(step);
  if (step.verb == "eval" && member(result, "metrics").is_array()) {
    add_reports(items(result, "metrics"));
  } else if (step.verb == "eval") {
    add_accuracies(result);
  }
  if (step.verb == "compare") {
    add_reports(items(result, "outputs"));
    add_comparison(result);
  }
  if (step.verb == "analyze") add_ranges(result);
  if (step.verb == "inspect") add_costs(result);
  if (step.verb == "bench") add_benchmark(result);
  if (step.verb == "profile") add_profile(result);
  findings_.steps.push_back(step);
}

Findings Gatherer::take() {
  std::map<std::string, int> uses;
  const auto short_name = [](const ModelName& name) {
    return std::filesystem::path(name).filename().string();
  };
  for (const ModelFacts& facts : findings_.models) ++uses[short_name(facts.name)];
  for (ModelFacts& facts : findings_.models) {
    const std::string name = short_name(facts.name);
    facts.label = uses[name] == 1 ? name : facts.name;
  }
  return std::move(findings_);
}

}  // namespace

const ModelFacts* Findings::find(const ModelName& name) const {
  for (const ModelFacts& facts : models) {
    if (facts.name == name) return &facts;
  }
  return nullptr;
}

const std::string& Findings::label(const ModelName& name) const {
  const ModelFacts* facts = find(name);
  return facts == nullptr ? name : facts->label;
}

Findings gather(std::span<const RunStep> steps) {
  Gatherer gatherer;
  for (const RunStep& step : steps) gatherer.add(step);
  return gatherer.take();
}

}  // namespace nibble::page
