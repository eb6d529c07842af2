#include "train/torch/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "train/torch/tensors.h"

namespace nibble {
namespace {

// A scale moves all codes of its channel at once: of what a weight may change in a step, so much.
// Measured without labels, on a convolutional and a recurrent network.
constexpr double kScaleRate = 0.3;
// Norm of all gradients together. Without batch normalisation, which is folded by then, one bad
// step can end a quantized network for good.
constexpr double kLargestGradient = 2.0;

struct Groups {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  std::vector<double> factors;
};

std::unique_ptr<torch::optim::OptimizerOptions> group_options(const TrainOptions& options,
                                                              bool decays) {
  const double decay = decays ? options.weight_decay : 0;
  if (options.optimizer == Optimizer::adamw) {
    return std::make_unique<torch::optim::AdamWOptions>(
        torch::optim::AdamWOptions(options.learning_rate).weight_decay(decay));
  }
  return std::make_unique<torch::optim::SGDOptions>(torch::optim::SGDOptions(options.learning_rate)
                                                        .momentum(options.momentum)
                                                        .weight_decay(decay));
}

Groups make_groups(const Network& network, const TrainOptions& options, bool taught) {
  Groups result;
  std::vector<torch::Tensor> weights, others;
  const auto add = [&](const std::vector<torch::Tensor>& tensors, bool decays, double factor) {
    if (tensors.empty()) return;
    result.groups.emplace_back(tensors, group_options(options, decays));
    result.factors.push_back(factor);
  };
  for (const Parameter& parameter : network.parameters()) {
    const bool is_scale = parameter.role == ParameterRole::scale;
    if (taught && !is_scale && options.optimizer == Optimizer::adamw) {
      add({parameter.tensor}, parameter.role == ParameterRole::weight, size_of(parameter.tensor));
    } else if (parameter.role == ParameterRole::weight) {
      weights.push_back(parameter.tensor);
    } else if (is_scale && options.optimizer == Optimizer::adamw) {
      add({parameter.tensor}, false,
          parameter.tensor.mean().item<double>() * (taught ? kScaleRate : 1));
    } else {
      others.push_back(parameter.tensor);
    }
  }
  add(weights, true, 1);
  add(others, false, 1);
  return result;
}

}  // namespace

Schedule::Schedule(const TrainOptions& options, int64_t steps_per_epoch)
    : rate_(options.learning_rate),
      warmup_(options.warmup_epochs * static_cast<double>(steps_per_epoch)),
      total_(options.epochs * static_cast<double>(steps_per_epoch)) {}

double Schedule::at(int64_t step) const {
  const auto now = static_cast<double>(step);
  if (now < warmup_) return rate_ * (now + 1) / (warmup_ + 1);
  const double progress = (now - warmup_) / std::max(total_ - warmup_, 1.0);
  return rate_ * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

Mover::Mover(const Network& network, const TrainOptions& options, bool taught) {
  Groups groups = make_groups(network, options, taught);
  factors_ = std::move(groups.factors);
  if (options.optimizer == Optimizer::adamw) {
    optimizer_ = std::make_unique<torch::optim::AdamW>(std::move(groups.groups));
  } else {
    optimizer_ = std::make_unique<torch::optim::SGD>(
        std::move(groups.groups), torch::optim::SGDOptions(options.learning_rate));
  }
}

void Mover::step(double rate) {
  std::vector<torch::Tensor> parameters;
  for (size_t i = 0; i < factors_.size(); ++i) {
    torch::optim::OptimizerParamGroup& group = optimizer_->param_groups()[i];
    group.options().set_lr(rate * factors_[i]);
    parameters.insert(parameters.end(), group.params().begin(), group.params().end());
  }
  torch::nn::utils::clip_grad_norm_(parameters, kLargestGradient);
  optimizer_->step();
  forget_gradients();
}

// None, not zeros: a parameter that a step does not reach (in a branch of an If) stays as it is,
// before and after a training is resumed.
void Mover::forget_gradients() {
  for (torch::optim::OptimizerParamGroup& group : optimizer_->param_groups()) {
    for (torch::Tensor& parameter : group.params()) parameter.mutable_grad() = torch::Tensor();
  }
}

void Mover::save(torch::serialize::OutputArchive& archive) const { optimizer_->save(archive); }
void Mover::load(torch::serialize::InputArchive& archive) { optimizer_->load(archive); }

}  // namespace nibble
