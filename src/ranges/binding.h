// How the samples of a data set go into the inputs of a graph. The one place that decides what
// fits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// One input of a graph, and what it gets.
struct InputBinding {
  enum class Fit : uint8_t {
    batched,        // [N, sample...]
    flat,           // [N, elements of a sample]
    channels_last,  // [N,H,W,C] of samples [C,H,W]
    whole,          // the sample is all of it, batch included
  };
  ValueId input;
  std::string name;
  DType dtype = DType::f32;
  Shape shape;             // declared; the first dimension that of a batch, unless the fit is whole
  int field = -1;          // of the data set; -1: none, the state starts from zeros
  Fit fit = Fit::batched;  // how the field fits
  bool leading_one = false;  // samples [1, ...] where only the rest is wanted
  int carried_from = -1;     // the output whose last value it gets, if it is a state; else -1

  /// `batch` holds [count, sample...] of the field: as the input takes it, rounded and clamped for
  /// one of bytes.
  Tensor from_batch(const Tensor& batch) const;
  /// Of a state: what it is at the start of a sequence. `samples` are those of the first step, by
  /// field, [1, sample...]. What the data set gives, or zeros.
  Tensor first_state(std::span<const Tensor> samples) const;
};

/// All inputs of a graph, in its order.
struct Binding {
  std::vector<InputBinding> inputs;
  int64_t fixed_batch = 0;  // the inputs say how many samples they take at a time; 0: they do not
  bool single = false;      // only one sample at a time: whole or ragged samples, or states
  bool ragged = false;      // samples differ in shape
  std::vector<std::string> notes;  // what the user should know, as sentences without their ends

  bool carries() const;
};

/// Fields go to the inputs of their names; the only field without a name goes to the only input
/// that is not a state. An input that nothing is given for is a state if the model says so
/// (stored_carry()) or if one output, and no other, has its type and shape and a name that pairs up
/// or is the only such output. Throws Error{invalid_argument} naming what is missing, surplus, or
/// does not fit, and what to do.
Binding bind_samples(const Graph& graph, const Dataset& data);

}  // namespace nibble
#pragma GCC visibility pop
