// Training from scratch, with quantization in the loop, and on from a quantized model: what `nibble
// train`, `qat` and `finetune` do.
#pragma once

#include <functional>
#include <memory>
#include <string>

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

TrainResult train_architecture(const std::string& architecture, const SampleSource& data,
                               const TrainChoices& choices, const RunSettings& run);

/// Quantizes as quantize_model() does, then trains. Throws Error{invalid_argument} for dynamic
/// quantization, Error{unsupported} if there is nothing to quantize.
TrainResult train_with_quantization(const Graph& model, const SampleSource& data,
                                    const QuantizeSettings& settings, const TrainChoices& choices,
                                    const RunSettings& run);

/// Trains on from a quantized model, whoever quantized it; `name` is what messages call it. Throws
/// Error{invalid_argument} if it is not quantized, or dynamically; Error{unsupported} if the result
/// could not be written for `target`.
TrainResult finetune_model(Graph model, const std::string& name, const Target& target,
                           const SampleSource& data, const TrainChoices& choices,
                           const RunSettings& run);

}  // namespace nibble
#pragma GCC visibility pop
