// Transposed convolution: its geometry, and its kernels, which are convolutions.
#pragma once

#include <memory>

#include "ops/op.h"
#include "ops/support/spatial.h"

namespace nibble {

/// A ConvTranspose node for known shapes.
struct ConvTransposeProblem {
  SpatialShape x;
  int64_t group = 1, out_channels = 0;
  Window window;  // of the convolution that this one transposes: its output is our input
  Shape output;   // as the node declares it
  bool channels_last = false;
};

/// Throws Error{invalid_model} if data, weight [I,O/group,k...] and attributes do not fit together.
ConvTransposeProblem conv_transpose_problem(const Node& node, const Shape& data,
                                            const Shape& weight);

/// Kernels on u8 codes, on packed weights and on f32, for constant weights of one or two spatial
/// axes, channels last.
std::unique_ptr<Kernel> integer_conv_transpose(const KernelSpec& spec);
std::unique_ptr<Kernel> packed_conv_transpose(const KernelSpec& spec);
std::unique_ptr<Kernel> float_conv_transpose(const KernelSpec& spec);

}  // namespace nibble
