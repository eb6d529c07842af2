#include "train/torch/folded_norm.h"

#include <algorithm>

#include "base/check.h"
#include "train/torch/shared_norm.h"

namespace nibble {
namespace {

constexpr double kEpsilon = 1e-5;
constexpr double kNewShare = 0.1;  // of the running statistics, in a step
constexpr double kLeastGain = 1e-6;

// All axes but that of channels.
std::vector<int64_t> other_axes(const torch::Tensor& z) {
  std::vector<int64_t> axes = {0};
  for (int64_t axis = 2; axis < z.dim(); ++axis) axes.push_back(axis);
  return axes;
}

}  // namespace

FoldedNorm::FoldedNorm(ValueId weight, ValueId bias, int64_t channels, torch::Device device)
    : weight_(weight), bias_(bias) {
  const auto reals = torch::TensorOptions().dtype(torch::kFloat).device(device);
  gain_ = torch::ones({channels}, reals).set_requires_grad(true);
  mean_ = torch::zeros({channels}, reals);
  variance_ = torch::ones({channels}, reals);
  sum_ = torch::zeros({channels}, reals.dtype(torch::kDouble));
  squares_ = torch::zeros_like(sum_);
}

torch::Tensor FoldedNorm::factor() const { return gain_ / (variance_ + kEpsilon).sqrt(); }

torch::Tensor FoldedNorm::by_row(const torch::Tensor& channels, const torch::Tensor& weight) {
  std::vector<int64_t> extents(static_cast<size_t>(weight.dim()), 1);
  extents[0] = channels.numel();
  return channels.reshape(extents);
}

torch::Tensor FoldedNorm::run(const torch::Tensor& z, const torch::Tensor& shift,
                              RankGroup* ranks) {
  if (ranks != nullptr) {
    return shared_batch_norm(z, gain_, shift, mean_, variance_, kNewShare, kEpsilon, *ranks);
  }
  return torch::batch_norm(z, gain_, shift, mean_, variance_, true, kNewShare, kEpsilon, false);
}

void FoldedNorm::measure(const torch::Tensor& z) {
  const torch::Tensor wide = z.detach().to(torch::kDouble);
  sum_ += wide.sum(other_axes(z));
  squares_ += wide.square().sum(other_axes(z));
  count_ += z.numel() / z.size(1);
}

void FoldedNorm::start(torch::Tensor& weight, torch::Tensor& scale, torch::Tensor& bias) {
  check(count_ > 0, "a normalisation starts from outputs that were measured");
  const torch::NoGradGuard no_gradient;
  const torch::Tensor mean = sum_ / count_;
  const torch::Tensor variance = (squares_ / count_ - mean.square()).clamp_min(0);
  // A power of two: nothing is rounded. A channel of zeros stays as it is.
  const torch::Tensor unit = torch::where(
      variance > 1e-12, torch::exp2(variance.log2().mul(0.5).round()), torch::ones_like(variance));
  variance_.copy_(variance / unit.square());
  const torch::Tensor step = unit.to(torch::kFloat);
  gain_.copy_(step * (variance_ + kEpsilon).sqrt());
  mean_.copy_(mean / unit);
  weight.div_(by_row(step, weight));
  scale.div_(step.view_as(scale));
  bias.add_((mean_ * step).view_as(bias));
}

void FoldedNorm::project() {
  const torch::NoGradGuard no_gradient;
  gain_.clamp_min_(kLeastGain);
}

}  // namespace nibble
