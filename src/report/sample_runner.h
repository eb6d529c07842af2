// Runs a graph on the samples of a data set: finds the batch size and the shape its input takes.
#pragma once

#include <string>

#include "data/batch_reader.h"
#include "nibble/evaluate.h"

namespace nibble {

/// How samples go into a graph's only input.
struct SampleInput {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;        // [batch, sample...]
  int64_t batch = 1;  // the wanted one, or the graph's own if that is fixed
  std::string note;   // why it is 1 where more was wanted, as a sentence; else empty
};

/// Throws Error{invalid_argument} if the graph has several inputs, or one that the samples do not
/// fit. Samples of any shape fit an input [N, elements]. An input of bytes (u8) gets the samples
/// rounded and clamped: preprocess them with scale 1.
SampleInput sample_input(const Graph& graph, const Dataset& data, int64_t batch);

/// Compiled for the shape above; for one sample at a time where the network would mix several.
class SampleRunner {
 public:
  SampleRunner(const Graph& graph, const Dataset& data, int64_t batch,
               const CompileOptions& options);

  int64_t batch() const { return input_.batch; }
  const std::string& note() const { return input_.note; }
  Program& program() { return program_; }
  /// `samples` are a whole batch. The results borrow the program's memory.
  std::span<const Tensor> run(const Tensor& samples);

 private:
  SampleInput input_;
  Program program_;
};

}  // namespace nibble
