#include "train/torch/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace nibble {
namespace {

// Norm of all gradients together.
constexpr double kLargestGradient = 2.0;

/// A parameter group per role. AdamW moves every entry by about the learning rate, whatever its
/// size, so that each scale gets a group of its own with a rate in proportion to it.
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

Groups make_groups(const Network& network, const TrainOptions& options) {
  Groups result;
  std::vector<torch::Tensor> weights, others;
  const auto add = [&](const std::vector<torch::Tensor>& tensors, bool decays, double factor) {
    if (tensors.empty()) return;
    result.groups.emplace_back(tensors, group_options(options, decays));
    result.factors.push_back(factor);
  };
  for (const Parameter& parameter : network.parameters()) {
    if (parameter.role == ParameterRole::weight) {
      weights.push_back(parameter.tensor);
    } else if (parameter.role == ParameterRole::scale && options.optimizer == Optimizer::adamw) {
      add({parameter.tensor}, false, parameter.tensor.mean().item<double>());
    } else {
      others.push_back(parameter.tensor);
    }
  }
  add(weights, true, 1);
  add(others, false, 1);
  return result;
}

std::unique_ptr<torch::optim::Optimizer> make_optimizer(Groups groups,
                                                        const TrainOptions& options) {
  if (options.optimizer == Optimizer::adamw) {
    return std::make_unique<torch::optim::AdamW>(std::move(groups.groups));
  }
  return std::make_unique<torch::optim::SGD>(std::move(groups.groups),
                                             torch::optim::SGDOptions(options.learning_rate));
}

std::string stage_name(int epoch, const TrainOptions& options) {
  return fmt::format("training, epoch {} of {}", epoch + 1, options.epochs);
}

}  // namespace

Trainer::Trainer(Network& network, Network* teacher, const Dataset& training,
                 const Dataset& validation, const TrainOptions& options, torch::Device device)
    : network_(network),
      teacher_(teacher),
      training_(training),
      validation_(validation),
      options_(options),
      device_(device),
      head_(find_head(network.graph())) {
  const Shape shape = sample_shape(training, "training");
  if ((options.flip || options.crop_padding > 0) && shape.rank() != 3) {
    fail(ErrorCode::invalid_argument, "flip and crop are for images [C,H,W], the samples are {}",
         shape.to_string());
  }
  steps_per_epoch_ = (training.size() + options.batch - 1) / options.batch;
  Groups groups = make_groups(network, options);
  rate_factors_ = groups.factors;
  optimizer_ = make_optimizer(std::move(groups), options);
}

double Trainer::learning_rate(int64_t step) const {
  const double warmup = options_.warmup_epochs * static_cast<double>(steps_per_epoch_);
  const double total = options_.epochs * static_cast<double>(steps_per_epoch_);
  const auto now = static_cast<double>(step);
  if (now < warmup) return options_.learning_rate * (now + 1) / (warmup + 1);
  const double progress = (now - warmup) / std::max(total - warmup, 1.0);
  return options_.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * progress));
}

void Trainer::step(const Batch& batch, int epoch, int64_t number, double& loss_sum) {
  const int64_t global = epoch * steps_per_epoch_ + number;
  for (size_t i = 0; i < rate_factors_.size(); ++i) {
    optimizer_->param_groups()[i].options().set_lr(learning_rate(global) * rate_factors_[i]);
  }
  torch::Tensor teacher_logits;
  if (teacher_ != nullptr) {
    const torch::NoGradGuard no_gradient;
    const Head head = find_head(teacher_->graph());
    teacher_logits =
        teacher_->forward({batch.samples}, std::span(&head.logits, 1), {})[0].flatten(1);
  }
  const Network::Mode mode{.training = true,
                           .seed = options_.seed * 1'000'003 + static_cast<uint64_t>(global)};
  const torch::Tensor logits =
      check_logits(network_.forward({batch.samples}, std::span(&head_.logits, 1), mode)[0], head_,
                   training_.classes());
  const torch::Tensor loss =
      classification_loss(logits, batch.labels, teacher_logits, head_, options_);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    fail(ErrorCode::invalid_argument,
         "the loss became {} in epoch {}, step {}: lower the learning rate (now {}), lengthen the "
         "warm-up, or look for NaN and infinities in the data",
         value, epoch + 1, number + 1, options_.learning_rate);
  }
  optimizer_->zero_grad();
  loss.backward();
  clip_gradients();
  optimizer_->step();
  network_.project_scales();
  loss_sum += value * static_cast<double>(batch.labels.size(0));
}

// Without batch normalisation, which is folded by then, one bad step can end a quantized network
// for good.
void Trainer::clip_gradients() {
  std::vector<torch::Tensor> parameters;
  for (const torch::optim::OptimizerParamGroup& group : optimizer_->param_groups()) {
    parameters.insert(parameters.end(), group.params().begin(), group.params().end());
  }
  torch::nn::utils::clip_grad_norm_(parameters, kLargestGradient);
}

double Trainer::train_epoch(int epoch) {
  Batches batches = Batches::shuffled(training_, options_, epoch, device_);
  const std::string stage = stage_name(epoch, options_);
  double loss_sum = 0;
  int64_t number = 0;
  report_progress(options_.progress, stage, 0, steps_per_epoch_);
  while (const auto batch = batches.next()) {
    step(*batch, epoch, number++, loss_sum);
    report_progress(options_.progress, stage, number, steps_per_epoch_);
  }
  return loss_sum / static_cast<double>(training_.size());
}

void Trainer::validate(Epoch& epoch) {
  const torch::NoGradGuard no_gradient;
  Batches batches =
      Batches::in_order(validation_, std::max(options_.batch, 64), options_.threads, device_);
  int64_t correct = 0;
  double loss_sum = 0;
  while (const auto batch = batches.next()) {
    const torch::Tensor logits =
        check_logits(network_.forward({batch->samples}, std::span(&head_.logits, 1), {})[0], head_,
                     validation_.classes());
    correct += count_correct(logits, batch->labels, head_);
    loss_sum += classification_loss(logits, batch->labels, {}, head_, options_).item<double>() *
                static_cast<double>(batch->labels.size(0));
  }
  epoch.validation_samples = validation_.size();
  epoch.validation_accuracy =
      static_cast<double>(correct) / static_cast<double>(validation_.size());
  epoch.validation_loss = loss_sum / static_cast<double>(validation_.size());
}

TrainResult Trainer::run() {
  if (!options_.checkpoint.empty()) resume();
  for (auto epoch = static_cast<int>(result_.epochs.size()); epoch < options_.epochs; ++epoch) {
    Epoch done;
    done.train_loss = train_epoch(epoch);
    done.learning_rate = learning_rate((epoch + 1) * steps_per_epoch_ - 1);
    validate(done);
    const auto rank = [](const Epoch& e) {
      return std::pair(e.validation_accuracy, -e.validation_loss);
    };
    const bool best = result_.epochs.empty() ||
                      rank(done) > rank(result_.epochs[static_cast<size_t>(result_.best_epoch)]);
    result_.epochs.push_back(done);
    if (best) {
      result_.best_epoch = epoch;
      best_.clear();
      for (const torch::Tensor& tensor : network_.state()) best_.push_back(tensor.clone());
    }
    if (!options_.checkpoint.empty()) save_checkpoint();
  }
  network_.set_state(best_);
  result_.graph = network_.to_graph();
  return std::move(result_);
}

}  // namespace nibble
