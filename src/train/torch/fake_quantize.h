// Fake quantization with a learned step size (LSQ, Esser et al. 2020, arXiv:1902.08153).
#pragma once

#include <torch/torch.h>

#include "nibble/tensor.h"

namespace nibble {

/// The codes a tensor may take, relative to the zero point: round(x / scale) is clamped to
/// [low, high]. The tensors broadcast against x.
struct ClampRange {
  torch::Tensor low;
  torch::Tensor high;
};

/// A share of a tensor's numbers that are left as they are, which depends on the seed (Wei et al.
/// 2022, QDrop, arXiv:2203.05740).
struct Unrounded {
  uint32_t seed = 0;
  double share = 0;
};

/// scale * clamp(round_half_to_even(x / scale), low, high), in f32 with the same bits as
/// quantize_tensor and dequantize_tensor; NaN gives low, as in inference. `scale` broadcasts
/// against x. Gradients, with v = x / scale and the straight-through estimator for the rounding:
///   d/dx     = 1 if low < v < high, else 0
///   d/dscale = round(v) - v inside; low for v <= low; high for v >= high; times `gradient_scale`
///              and summed over the elements that share a scale.
/// Of `unrounded` numbers the output is x, d/dx is 1 and d/dscale 0.
torch::Tensor fake_quantize(const torch::Tensor& x, const torch::Tensor& scale,
                            const ClampRange& range, double gradient_scale,
                            const Unrounded& unrounded = {});

/// Of the `unrounded` numbers the first, of all others the second. Without gradients.
torch::Tensor partly_rounded(const torch::Tensor& real, const torch::Tensor& rounded,
                             const Unrounded& unrounded);

/// LSQ's 1 / sqrt(count * high): brings the step size's gradient to the proportion of the weights'.
double lsq_gradient_scale(int64_t count, const QuantParams& params);

/// scale * round_half_to_even(x / scale) with the straight-through estimator for x and a constant
/// scale: an int32 bias.
torch::Tensor round_to_grid(const torch::Tensor& x, const torch::Tensor& scale);

/// One entry per group (of `params`, for a tensor of `shape`), shaped to broadcast against it;
/// differentiable.
torch::Tensor spread_groups(const torch::Tensor& entries, const QuantParams& params,
                            const torch::IntArrayRef& shape);

/// qmin - zero_point and qmax - zero_point, shaped to broadcast against a tensor of `shape`.
ClampRange clamp_range(const QuantParams& params, const torch::IntArrayRef& shape,
                       torch::Device device);

}  // namespace nibble
