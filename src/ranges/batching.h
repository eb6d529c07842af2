// How many samples a network can be fed at a time. That an input's first dimension is open does not
// say that the network keeps samples apart: a Reshape to [1, 8, -1] or a Concat with a state of one
// sample takes several for one.
#pragma once

#include <map>
#include <string>

#include "nibble/data.h"
#include "nibble/graph.h"

namespace nibble {

/// What two samples at once give, compared with what each gives alone.
struct BatchProbe {
  /// Every output holds the results of both side by side, within f32 rounding.
  bool keeps_apart = true;
  std::string reason;  // if not, as a sentence without its end
  /// The axis of each value along which samples lie; values without one are left out.
  std::map<ValueId, int> batch_axis;
};

/// `samples` are two, [2, ...], of the type that the graph's only input has. Runs the graph in f32,
/// whatever its types. If it cannot run on one sample, nothing is known: keeps_apart is true.
BatchProbe probe_batch(const Graph& graph, const Tensor& samples, int threads);

/// What to tell the user of a network that does not keep samples apart, as a sentence without its
/// end.
std::string note_of_single_samples(const BatchProbe& probe);

/// The batch to run a graph with one f32 input with.
struct Batching {
  int64_t size = 1;
  bool fixed = false;                 // the input says so
  std::string note;                   // why it is 1 where more was wanted, as above; else empty
  std::map<ValueId, int> batch_axis;  // as above; empty if it was not looked for
};
/// `wanted`, at most the number of samples; or what the input fixes; or 1 if the network mixes
/// samples.
Batching find_batching(const Graph& graph, const Dataset& data, int64_t wanted, int threads);

}  // namespace nibble
