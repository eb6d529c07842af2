#include "train/torch/soft_rounding.h"

namespace nibble {
namespace {

// The sigmoid is stretched, so that 0 and 1 are reached.
constexpr double kLow = -0.1, kHigh = 1.1;

}  // namespace

SoftRounding::SoftRounding(const torch::Tensor& weight, const torch::Tensor& step, ClampRange range)
    : step_(step.detach()), range_(std::move(range)) {
  const torch::NoGradGuard no_gradient;
  const torch::Tensor scaled = weight.detach() / step_;
  floor_ = scaled.floor();
  start(scaled - floor_);
}

SoftRounding::SoftRounding(const torch::Tensor& weight, const torch::Tensor& rounded,
                           const torch::Tensor& step, ClampRange range)
    : step_(step.detach()), range_(std::move(range)) {
  constexpr double kDecided = 0.8;
  const torch::NoGradGuard no_gradient;
  const torch::Tensor scaled = weight.detach() / step_, code = (rounded / step_).round();
  floor_ = torch::where(scaled < code, code - 1, code);
  const torch::Tensor share = (scaled - floor_).clamp(0, 1);
  start(share + kDecided * (code - floor_ - share));
}

void SoftRounding::start(const torch::Tensor& share) {
  constexpr double kOpen = 0.01;  // no variable starts where it has no gradient
  const torch::Tensor open = share.clamp(kOpen, 1 - kOpen);
  variable_ = ((open - kLow) / (kHigh - open)).log().set_requires_grad(true);
}

torch::Tensor SoftRounding::share() const {
  return (torch::sigmoid(variable_) * (kHigh - kLow) + kLow).clamp(0, 1);
}

torch::Tensor SoftRounding::on_grid(const torch::Tensor& share) const {
  return (floor_ + share).clamp(range_.low, range_.high) * step_;
}

torch::Tensor SoftRounding::soft() const { return on_grid(share()); }

torch::Tensor SoftRounding::hard() const {
  const torch::NoGradGuard no_gradient;
  return on_grid((share() >= 0.5).to(floor_.dtype()));
}

torch::Tensor SoftRounding::undecided(double exponent) const {
  return (1 - (2 * share() - 1).abs().pow(exponent)).mean();
}

}  // namespace nibble
