// What training takes from the module that measures, which stands above it.
#pragma once

#include "nibble/train.h"

#pragma GCC visibility push(default)
namespace nibble {

struct TrainServices {
  /// The judge of `options.metric`. `validation` and `options.teacher` outlive it. Throws
  /// Error{invalid_argument} for a metric that there is not, or that needs a teacher where there is
  /// none.
  EpochJudge (*judge)(const TrainOptions& options, const Dataset& validation) = nullptr;
  /// So many of the samples: their share.
  EpochScore (*proportion)(int64_t successes, int64_t samples) = nullptr;
};
const TrainServices& train_services();

/// Gives them while the library is loaded.
struct TrainServicesRegistration {
  explicit TrainServicesRegistration(const TrainServices& services);
};

}  // namespace nibble
#pragma GCC visibility pop
