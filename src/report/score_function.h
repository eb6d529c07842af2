// A metric that is a function of the caller's: one number for each sample.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "nibble/measure.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What a sample is worth, by the outputs of a model for it alone ([1, ...] where an output has a
/// batch). Called by one thread, sample after sample, the models in turns.
struct ScoreFunction {
  std::string name;
  std::function<double(std::span<const Tensor> outputs, const Dataset& data, int64_t sample)> of;
};

/// The means with their intervals, as measure() gives them; options.metric, output and threshold
/// are not looked at. Throws Error{invalid_data} naming the sample whose number is NaN or infinite.
MetricReport measure_by_function(std::span<const MeasuredModel> models,
                                 const ScoreFunction& function, const MeasureOptions& options);

}  // namespace nibble
#pragma GCC visibility pop
