// A graph that is run over and over to be timed: compiled, with inputs made up, and with states
// that go from run to run.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nibble/runtime.h"

namespace nibble {

struct WorkloadOptions {
  int threads = 1;
  int64_t batch = 1;  // for inputs whose first dimension is unknown
  std::map<std::string, Shape> input_shapes;
  uint64_t seed = 0;  // of the inputs
};

class Workload {
 public:
  /// Throws Error{invalid_argument} for an input whose shape is not known.
  Workload(const Graph& graph, const WorkloadOptions& options);

  /// Throws Error{invalid_argument} for a state that comes out in another shape than it goes in.
  void run_once();
  /// Some runs, for about `seconds`.
  void warm_up(double seconds);

  Program& program() { return program_; }
  const Program& program() const { return program_; }
  int64_t batch() const { return batch_; }

 private:
  struct State {
    size_t input = 0;   // among the graph's inputs
    size_t output = 0;  // among its outputs
    std::string name;   // OUTPUT=INPUT
  };

  Program program_;
  std::vector<Tensor> inputs_;
  std::vector<State> states_;
  int64_t batch_ = 1;
};

/// The value in the middle, or the mean of the two there; 0 of none.
double median_of(std::vector<double> values);

}  // namespace nibble
