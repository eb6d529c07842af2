#include "verbs/train.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/file.h"
#include "passes/insert_qdq.h"
#include "quant/scale_guards.h"
#include "train/dynamic.h"
#include "verbs/provenance.h"

namespace nibble {
namespace {

// Dynamically quantized: the integers are operands of operators, not types of values.
bool is_dynamic(const Graph& graph) {
  return std::ranges::any_of(
      graph.nodes(), [&](NodeId id) { return graph.node(id).op == "DynamicQuantizeLinear"; });
}

TrainOptions chosen(const TrainChoices& choices, const TrainOptions& usual,
                    const RunSettings& run) {
  TrainOptions options = choices(usual);
  if (!options.checkpoint.empty()) check_writable(options.checkpoint);
  if (!options.log.empty()) check_writable(options.log);
  options.seed = run.seed;
  options.threads = run.threads;
  options.progress = run.progress;
  options.ranks = run.ranks;
  return options;
}

// What is usual for a model that is quantized, on these data.
TrainOptions chosen_on(const TrainingData& data, const TrainChoices& choices,
                       const TrainOptions& usual, const RunSettings& run) {
  const bool labelled = data.training->classes() > 0;
  const bool taught = learns_from_teacher(choices(usual).loss, labelled);
  return chosen(choices, taught ? without_labels(usual) : usual, run);
}

Trained judged(TrainResult result, const Graph& before, const Graph* teacher,
               const Dataset& validation, const RunSettings& run) {
  Trained trained{std::move(result)};
  if (trained.labelled || teacher == nullptr) return trained;
  trained.models = {"the float model", "before", "after"};
  const std::array<const Graph*, 3> graphs = {teacher, &before, &trained.graph};
  std::vector<MeasuredModel> models;
  for (size_t i = 0; i < graphs.size(); ++i) {
    models.push_back({.name = trained.models[i], .graph = graphs[i], .data = &validation});
  }
  trained.outputs = measure(models, {.metric = "sqnr",
                                     .threads = run.threads,
                                     .seed = run.seed,
                                     .ranks = run.ranks,
                                     .progress = run.progress});
  return trained;
}

}  // namespace

TrainingData open_training_data(const SampleSource& data, const Graph* model, uint64_t seed) {
  return {data.open(Split::train, model, seed), data.open(Split::validation, model, seed)};
}

TrainResult train_architecture(const std::string& architecture, const SampleSource& source,
                               const TrainChoices& choices, const RunSettings& run) {
  const TrainingData data = open_training_data(source, nullptr, run.seed);
  Graph graph = build_architecture(architecture, sample_shape(*data.training, "training"),
                                   data.training->classes(), run.seed);
  store_preprocess_of(graph, *data.training);
  return train(graph, *data.training, *data.validation, chosen(choices, {}, run));
}

Trained train_with_quantization(const Graph& model, const SampleSource& source,
                                const QuantizeSettings& settings, const TrainChoices& choices,
                                const RunSettings& run) {
  if (settings.options.dynamic) {
    fail(ErrorCode::invalid_argument,
         "--dynamic: ranges found at run time cannot be trained; leave it out");
  }
  const Quantized start = quantize_model(model, source, settings, run);
  require_quantized(start);
  const TrainingData data = open_training_data(source, &start.float_graph, run.seed);
  const LayerBits& bits = start.plan.fallback;
  TrainOptions options =
      chosen_on(data, choices, qat_defaults(bits.weight_bits, bits.activation_bits), run);
  options.pair_orders = pair_orders(settings.options);
  Trained trained = judged(
      train_quantized(start.graph, &start.float_graph, *data.training, *data.validation, options),
      start.graph, &start.float_graph, *data.validation, run);
  store_training(trained, "qat", *data.training, options);
  return trained;
}

Trained finetune_model(Finetuning start, const SampleSource& source, const TrainChoices& choices,
                       const RunSettings& run) {
  Graph& model = start.model;
  const bool dynamic = is_dynamic(model);
  if (!dynamic && !is_quantized(model)) {
    fail(ErrorCode::invalid_argument,
         "{} has no quantized weights; use `nibble qat` to start from a float model", start.name);
  }
  // Training leaves the types as they are: what cannot be written is refused before it.
  if (const auto reason = why_not_written(model, start.target)) {
    fail(ErrorCode::unsupported, "{}: {}", start.name, *reason);
  }
  std::vector<Graph> models = {std::move(model)};
  if (start.teacher) models.push_back(std::move(*start.teacher));
  source.settle(models);
  const Graph* teacher = start.teacher ? &models[1] : nullptr;
  const TrainingData data = open_training_data(source, &models[0], run.seed);
  store_preprocess_of(models[0], *data.training);
  TrainOptions usual = finetune_defaults();
  if (teacher != nullptr) usual.distill = 0.5;
  TrainOptions options = chosen_on(data, choices, usual, run);
  options.pair_orders = start.target.pair_orders;
  options.teacher = teacher;
  if (options.distill > 0 && teacher == nullptr) {
    fail(ErrorCode::invalid_argument,
         "--distill: a share of the loss is to come from a teacher, and none is given: name the "
         "float model with --teacher FLOAT.onnx");
  }
  TrainResult result;
  if (dynamic) {
    const DynamicTraining layers(models[0]);
    if (layers.size() == 0) {
      fail(ErrorCode::unsupported,
           "{} is quantized dynamically, but has no ConvInteger or MatMulInteger that could be "
           "trained; quantize it statically",
           start.name);
    }
    result =
        train_quantized(layers.trainable(), nullptr, *data.training, *data.validation, options);
    result.graph = layers.put_back(result.graph, start.target, options.pair_orders);
  } else {
    result = train_quantized(models[0], nullptr, *data.training, *data.validation, options);
  }
  Trained trained = judged(std::move(result), models[0], teacher, *data.validation, run);
  store_training(trained, "finetune", *data.training, options);
  return trained;
}

}  // namespace nibble
