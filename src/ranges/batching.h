// How many samples a network can be fed at a time. That an input's first dimension is open does not
// say that the network keeps samples apart: a Reshape to [1, 8, -1] or a Concat with a state of one
// sample takes several for one.
#pragma once

#include <map>
#include <span>
#include <string>

#include "nibble/graph.h"
#include "nibble/tensor.h"

namespace nibble {

/// What two samples at once give, compared with what each gives alone.
struct BatchProbe {
  /// Every output holds the results of both side by side, within f32 rounding.
  bool keeps_apart = true;
  std::string reason;  // if not, as a sentence without its end
  /// The axis of each value along which samples lie; values without one are left out.
  std::map<ValueId, int> batch_axis;
};

/// `inputs` are of two samples, [2, ...] each, of the types that the graph's inputs have. Runs the
/// graph in f32, whatever its types. If it cannot run on one sample, nothing is known: keeps_apart
/// is true.
BatchProbe probe_batch(const Graph& graph, std::span<const Tensor> inputs, int threads);

/// What to tell the user of a network that does not keep samples apart, as a sentence without its
/// end.
std::string note_of_single_samples(const BatchProbe& probe);

}  // namespace nibble
