#include "train/torch/losses.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace nibble {
namespace {

using torch::Tensor;

constexpr double kTemperature = 2;  // of distillation

Tensor cross_entropy(const LossInput& in) {
  const Tensor log_p = in.output.log_softmax(1);
  const Tensor of_label = log_p.gather(1, in.labels.unsqueeze(1)).mean();
  return -(of_label * (1 - in.smoothing) + log_p.mean() * in.smoothing);
}

Tensor binary(const LossInput& in) {
  const Tensor label = in.labels.to(in.output.scalar_type());
  const Tensor target = label * (1 - in.smoothing) + in.smoothing / 2;
  return torch::binary_cross_entropy_with_logits(in.output.squeeze(1), target);
}

Tensor distill(const LossInput& in) {
  if (in.sigmoid) return torch::binary_cross_entropy_with_logits(in.output, in.teacher.sigmoid());
  const Tensor wanted = (in.teacher / kTemperature).softmax(1);
  const Tensor log_p = (in.output / kTemperature).log_softmax(1);
  return -(wanted * log_p).sum(1).mean() * (kTemperature * kTemperature);
}

Tensor mse(const LossInput& in) { return (in.output - in.teacher).square().mean(); }
Tensor mae(const LossInput& in) { return (in.output - in.teacher).abs().mean(); }
Tensor sqnr(const LossInput& in) { return mse(in) / in.power; }

constexpr std::array kRows = {
    LossRow{Loss::cross_entropy, true, cross_entropy},
    LossRow{Loss::binary, true, binary},
    LossRow{Loss::distill, true, distill},
    LossRow{Loss::mse, false, mse},
    LossRow{Loss::mae, false, mae},
    LossRow{Loss::sqnr, false, sqnr},
};

}  // namespace

const LossRow& find_loss(Loss loss) {
  const auto row = std::ranges::find(kRows, loss, &LossRow::loss);
  check(row != kRows.end(), "a loss without a row");
  return *row;
}

}  // namespace nibble
