#include "train/torch/fake_quantize.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Within [low, high]; NaN, which infinities of a mask times zero give, becomes low, as in
// inference.
torch::Tensor& clamp_codes_(torch::Tensor& codes, const torch::Tensor& low,
                            const torch::Tensor& high) {
  return torch::fmax_out(codes, codes, low).clamp_max_(high);
}

struct LearnedStep : torch::autograd::Function<LearnedStep> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& scale, const torch::Tensor& low,
                               const torch::Tensor& high, double gradient_scale) {
    context->save_for_backward({x, scale, low, high});
    context->saved_data["gradient_scale"] = gradient_scale;
    torch::Tensor codes = torch::div(x, scale).round_();
    return clamp_codes_(codes, low, high).mul_(scale);
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &scale = saved[1], &low = saved[2], &high = saved[3];
    const torch::Tensor v = x / scale;
    const torch::Tensor inside = (v > low).logical_and_(v < high);
    torch::Tensor outside = v.clone();
    const torch::Tensor slope =
        torch::where(inside, v.round().sub_(v), clamp_codes_(outside, low, high));
    const torch::Tensor scale_gradient = slope.mul_(upstream[0]).sum_to_size(scale.sizes());
    return {upstream[0] * inside, scale_gradient * context->saved_data["gradient_scale"].toDouble(),
            torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor fake_quantize(const torch::Tensor& x, const torch::Tensor& scale,
                            const ClampRange& range, double gradient_scale) {
  return LearnedStep::apply(x, scale, range.low, range.high, gradient_scale);
}

double lsq_gradient_scale(int64_t count, const QuantParams& params) {
  const double high = params.qmax - *std::ranges::min_element(params.zero_point);
  return 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(count, 1)) * std::max(high, 1.0));
}

torch::Tensor round_to_grid(const torch::Tensor& x, const torch::Tensor& scale) {
  const torch::Tensor rounded = (x / scale).round() * scale;
  return x + (rounded - x).detach();
}

torch::Tensor spread_groups(const torch::Tensor& entries, const QuantParams& params,
                            const torch::IntArrayRef& shape) {
  if (params.granularity == Granularity::per_tensor) return entries;
  std::vector<int64_t> extents(shape.size(), 1);
  const auto axis = static_cast<size_t>(params.axis);
  if (params.granularity == Granularity::per_channel) {
    extents[axis] = shape[axis];
    return entries.reshape(extents);
  }
  extents = shape.vec();
  extents[axis] = (shape[axis] + params.block_size - 1) / params.block_size;
  return entries.reshape(extents)
      .repeat_interleave(params.block_size, params.axis)
      .narrow(params.axis, 0, shape[axis]);
}

ClampRange clamp_range(const QuantParams& params, const torch::IntArrayRef& shape,
                       torch::Device device) {
  std::vector<float> low, high;
  for (int32_t zero_point : params.zero_point) {
    low.push_back(static_cast<float>(params.qmin - zero_point));
    high.push_back(static_cast<float>(params.qmax - zero_point));
  }
  return {spread_groups(torch::tensor(low), params, shape).to(device),
          spread_groups(torch::tensor(high), params, shape).to(device)};
}

}  // namespace nibble
