#include "verbs/train.h"

#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "passes/insert_qdq.h"
#include "quant/scale_guards.h"

namespace nibble {
namespace {

// Dynamically quantized: the integers are operands of operators, not types of values.
bool is_dynamic(const Graph& graph) {
  return std::ranges::any_of(
      graph.nodes(), [&](NodeId id) { return graph.node(id).op == "DynamicQuantizeLinear"; });
}

TrainOptions chosen(const TrainChoices& choices, TrainOptions usual, const RunSettings& run) {
  TrainOptions options = choices(std::move(usual));
  if (!options.checkpoint.empty()) check_writable(options.checkpoint);
  options.seed = run.seed;
  options.threads = run.threads;
  options.progress = run.progress;
  return options;
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

TrainResult train_with_quantization(const Graph& model, const SampleSource& source,
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
  TrainOptions options = chosen(choices, qat_defaults(bits.weight_bits, bits.activation_bits), run);
  options.pair_orders = pair_orders(settings.options);
  return train_quantized(start.graph, &start.float_graph, *data.training, *data.validation,
                         options);
}

TrainResult finetune_model(Graph model, const std::string& name, const Target& target,
                           const SampleSource& source, const TrainChoices& choices,
                           const RunSettings& run) {
  if (is_dynamic(model)) {
    fail(ErrorCode::invalid_argument,
         "{} is quantized dynamically, which cannot be trained; quantize it statically", name);
  }
  if (!is_quantized(model)) {
    fail(ErrorCode::invalid_argument,
         "{} has no quantized weights; use `nibble qat` to start from a float model", name);
  }
  // Training leaves the types as they are: what cannot be written is refused before it.
  if (const auto reason = why_not_written(model, target)) {
    fail(ErrorCode::unsupported, "{}: {}", name, *reason);
  }
  source.settle({&model, 1});
  const TrainingData data = open_training_data(source, &model, run.seed);
  store_preprocess_of(model, *data.training);
  TrainOptions options = chosen(choices, finetune_defaults(), run);
  options.pair_orders = target.pair_orders;
  return train_quantized(model, nullptr, *data.training, *data.validation, options);
}

}  // namespace nibble
