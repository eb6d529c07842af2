// What the integer kernels of weighted operators have in common.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "kernels/conv_shape.h"
#include "kernels/output_stage.h"
#include "ops/op.h"

namespace nibble {

/// Smallest and largest output code: the type's range, narrowed by the node's clamp.
struct CodeRange {
  int32_t qmin;
  int32_t qmax;
};
CodeRange code_range(const QuantParams& output, const Clamp& clamp);

/// A quantized weight constant as int8 (q - zero_point), with one scale per output channel.
struct IntegerWeights {
  std::span<const int8_t> values;  // in the constant's own order: its bytes, where they are that
  std::vector<float> scales;       // one per channel
  std::vector<int8_t> converted;   // those bytes, where they are not
};
/// `codes` less their zero points, one or one for each channel along `axis`. nullopt, with the
/// reason in spec.why_not, if they do not fit int8. Its scales are left empty.
std::optional<IntegerWeights> centred_weights(const KernelSpec& spec, const Tensor& codes,
                                              std::span<const int32_t> zero_points, int axis);
/// The weights of input 1, whose output channels lie along `axis`; nullopt, with the reason in
/// spec.why_not, if they do not fit int8 or have another granularity.
std::optional<IntegerWeights> integer_weights(const KernelSpec& spec, int axis);

/// The bias of input 2 in units of unit[c]; empty if the node has none. nullopt, with the reason in
/// spec.why_not, if it is not constant, has another length, or leaves int32. `factor` multiplies
/// it.
std::optional<std::vector<int32_t>> integer_bias(const KernelSpec& spec,
                                                 std::span<const double> unit, float factor = 1);

/// From an accumulator in units of unit[c] to output 0 of the node.
OutputStage output_stage(const KernelSpec& spec, std::span<const double> unit);

/// Geometry of a channels-last Conv or pooling node of one or two spatial dimensions, from its
/// attributes and the shapes of its input and output; nullopt, with the reason in spec.why_not, for
/// anything else.
std::optional<ConvWindow> channels_last_window(const KernelSpec& spec,
                                               std::span<const int64_t> kernel_shape);

}  // namespace nibble
