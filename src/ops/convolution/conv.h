// Convolution: its geometry, and the f32 kernel on oneDNN.
#pragma once

#include <memory>

#include "ops/op.h"
#include "ops/support/spatial.h"

namespace nibble {

/// A Conv node for known shapes.
struct ConvProblem {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t group = 1;
  Window window;
  bool bias = false;
  bool channels_last = false;
  Clamp clamp;

  Shape output_shape() const;
  /// Multiply-accumulates of one evaluation.
  int64_t macs() const;
  bool operator==(const ConvProblem&) const = default;
};

/// Throws Error{invalid_model} if data, weight [O,I/group,k...] and attributes do not fit together.
ConvProblem conv_problem(const Node& node, const Shape& data, const Shape& weight, bool bias);

/// f32 kernel for 1 to 3 spatial axes. `weight` and `bias` are packed now if given, else read from
/// inputs 1 and 2 in every run. Work is cut by images, else by output rows, in the same way for
/// every thread count, and so each output is computed by the same arithmetic. nullptr if oneDNN
/// cannot do it.
std::unique_ptr<Kernel> make_conv_kernel(const ConvProblem& problem, const Tensor* weight,
                                         const Tensor* bias);

}  // namespace nibble
