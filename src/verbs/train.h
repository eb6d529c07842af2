// Training from scratch, with quantization in the loop, and on from a quantized model: what `nibble
// train`, `qat` and `finetune` do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nibble/measure.h"
#include "nibble/target.h"
#include "nibble/train.h"
#include "quant/settings.h"
#include "verbs/quantize.h"
#include "verbs/samples.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The training and the validation part of a data set.
struct TrainingData {
  std::shared_ptr<const Dataset> training;
  std::shared_ptr<const Dataset> validation;
};
TrainingData open_training_data(const SampleSource& data, const Graph* model, uint64_t seed);

/// What the user asks for, over what is usual for the verb: `seed`, `threads` and `progress` are
/// those of RunSettings.
using TrainChoices = std::function<TrainOptions(TrainOptions usual)>;

/// What training made, and without labels how near its outputs are to the teacher's.
struct Trained : TrainResult {
  /// Without labels, on the validation samples: the teacher, and the quantized model before and
  /// after, both as integers. Else empty.
  std::vector<std::string> models;
  std::vector<MetricReport> outputs;  // their SQNR, for each output
};

TrainResult train_architecture(const std::string& architecture, const SampleSource& data,
                               const TrainChoices& choices, const RunSettings& run);

/// Quantizes as quantize_model() does, then trains; without labels the float model is the teacher.
/// Throws Error{invalid_argument} for dynamic
/// quantization, Error{unsupported} if there is nothing to quantize.
Trained train_with_quantization(const Graph& model, const SampleSource& data,
                                const QuantizeSettings& settings, const TrainChoices& choices,
                                const RunSettings& run);

/// What fine-tuning starts from.
struct Finetuning {
  Graph model;
  std::string name;  // what messages call it
  const Target& target;
  std::optional<Graph> teacher;  // the float model; with labels half of the loss is from it
};
/// Trains on from a quantized model, whoever quantized it; of a dynamically quantized one the
/// weights. Throws Error{invalid_argument} if it is not quantized, if the teacher does not fit, or
/// if there are neither labels nor a teacher; Error{unsupported} if the result could not be written
/// for the target.
Trained finetune_model(Finetuning start, const SampleSource& data, const TrainChoices& choices,
                       const RunSettings& run);

}  // namespace nibble
#pragma GCC visibility pop
