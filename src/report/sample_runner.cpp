#include "report/sample_runner.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ranges/batching.h"

namespace nibble {
namespace {

Program compile_for(const Graph& graph, const SampleInput& input, CompileOptions options) {
  options.input_shapes[input.name] = input.shape;
  return compile(graph, options);
}

// Whole numbers for a model that takes the bytes of an image.
void round_to_bytes(Tensor& samples) {
  for (float& value : samples.data<float>()) {
    value = std::clamp(std::nearbyint(value), 0.0F, 255.0F);
  }
}

// `samples`, [count, ...], as the graph takes them.
Tensor to_input(const Tensor& samples, const SampleInput& input) {
  Shape shape = input.shape;
  shape[0] = samples.shape()[0];
  Tensor result = samples.reshaped(shape);
  if (input.dtype == DType::u8) {
    result = result.clone();
    round_to_bytes(result);
  }
  return input.dtype == DType::f32 ? result : convert(result, input.dtype);
}

// With a batch of 1 for a network that would mix samples.
SampleInput keeping_samples_apart(const Graph& graph, const Dataset& data, SampleInput input,
                                  int threads) {
  const Shape& declared = graph.value(graph.inputs.front()).type.shape;
  const bool fixed = declared.has_rank() && declared.rank() > 0 && declared[0] > 0;
  if (fixed || input.batch == 1) return input;
  const std::array<int64_t, 2> indices = {0, data.size() / 2};
  const BatchProbe probe =
      probe_batch(graph, to_input(read_batch(data, indices, threads), input), threads);
  if (probe.keeps_apart) return input;
  input.batch = input.shape[0] = 1;
  input.note = note_of_single_samples(probe);
  return input;
}

// Dimensions after the first agree where they are known.
bool fits(const Shape& wanted, const Shape& sample) {
  if (wanted.rank() != sample.rank() + 1) return false;
  for (int axis = 0; axis < sample.rank(); ++axis) {
    const int64_t extent = wanted[axis + 1];
    if (extent >= 0 && extent != sample[axis]) return false;
  }
  return true;
}

}  // namespace

SampleInput sample_input(const Graph& graph, const Dataset& data, int64_t batch) {
  if (graph.inputs.size() != 1) {
    fail(ErrorCode::invalid_argument,
         "the model has {} inputs; only models with one can be run on a data set",
         graph.inputs.size());
  }
  const Value& value = graph.value(graph.inputs.front());
  const Shape& wanted = value.type.shape;
  const Shape sample = data.sample_shape();
  SampleInput input{.name = value.name, .dtype = value.type.dtype};
  const bool fixed = wanted.has_rank() && wanted.rank() > 0 && wanted[0] > 0;
  input.batch =
      fixed ? wanted[0] : std::clamp<int64_t>(batch, 1, std::max<int64_t>(data.size(), 1));
  input.shape = Shape{input.batch};
  const bool flat = wanted.rank() == 2 && wanted[1] == sample.elements();
  if (!wanted.has_rank() || fits(wanted, sample)) {
    for (int64_t extent : sample) input.shape.push_back(extent);
  } else if (flat) {
    input.shape.push_back(sample.elements());
  } else {
    fail(ErrorCode::invalid_argument, "the model's input '{}' is {}, the samples of {} are {}",
         input.name, to_string(value.type), data.describe(), sample.to_string());
  }
  if (!is_float(input.dtype) && input.dtype != DType::u8) {
    fail(ErrorCode::unsupported, "the model's input '{}' is {}; samples are real numbers or bytes",
         input.name, to_string(value.type));
  }
  return input;
}

SampleRunner::SampleRunner(const Graph& graph, const Dataset& data, int64_t batch,
                           const CompileOptions& options)
    : input_(keeping_samples_apart(graph, data, sample_input(graph, data, batch), options.threads)),
      program_(compile_for(graph, input_, options)) {}

std::span<const Tensor> SampleRunner::run(const Tensor& samples) {
  const Tensor input = to_input(samples, input_);
  return program_.run(std::span(&input, 1));
}

}  // namespace nibble
