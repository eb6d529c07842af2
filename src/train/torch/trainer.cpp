#include "train/torch/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "base/machine.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

// A scale moves all codes of its channel at once: of what a weight may change in a step, so much.
// Measured without labels, on a convolutional and a recurrent network.
constexpr double kScaleRate = 0.3;
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

std::unique_ptr<torch::optim::Optimizer> make_optimizer(Groups groups,
                                                        const TrainOptions& options) {
  if (options.optimizer == Optimizer::adamw) {
    return std::make_unique<torch::optim::AdamW>(std::move(groups.groups));
  }
  return std::make_unique<torch::optim::SGD>(std::move(groups.groups),
                                             torch::optim::SGDOptions(options.learning_rate));
}

const Graph* graph_of(const Network* teacher) {
  return teacher != nullptr ? &teacher->graph() : nullptr;
}

std::string stage_name(int epoch, const TrainOptions& options) {
  return fmt::format("training, epoch {} of {}", epoch + 1, options.epochs);
}

}  // namespace

int choose_threads(int64_t multiply_adds, int threads) {
  constexpr int64_t kWorthATeam = 500'000'000;
  if (threads > 0) return threads;
  return multiply_adds < kWorthATeam ? 1 : cores();
}

Trainer::Trainer(Network& network, Network* teacher, const Dataset& training,
                 const Dataset& validation, const TrainOptions& options, torch::Device device)
    : network_(network),
      teacher_(teacher),
      training_(training),
      validation_(validation),
      options_(options),
      device_(device),
      feed_(Feed::of(network.graph(), graph_of(teacher), training, options.batch, options.threads)),
      validation_feed_(Feed::of(network.graph(), graph_of(teacher), validation,
                                std::max(options.batch, 64), options.threads)),
      objective_(network.graph(), graph_of(teacher), training, options),
      student_(network, network.graph(), feed_, objective_.wanted()) {
  if (options.flip || options.crop_padding > 0) {
    const Shape shape = sample_shape(training, "augmentation by flip and crop");
    if (shape.rank() != 3) {
      fail(ErrorCode::invalid_argument, "flip and crop are for images [C,H,W], the samples are {}",
           shape.to_string());
    }
  }
  if (teacher != nullptr) {
    teacher_player_.emplace(*teacher, network.graph(), feed_, objective_.wanted_of_teacher());
  }
  result_.labelled = objective_.labelled();
  steps_per_epoch_ = (training.size() + options.batch - 1) / options.batch;
  Groups groups = make_groups(network, options, !objective_.labelled());
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

std::vector<torch::Tensor> Trainer::ask_teacher(Player& teacher, const Batch& batch) const {
  const torch::NoGradGuard no_gradient;
  return teacher.run(batch, {});
}

// What cannot be trained is said before anything is.
void Trainer::try_out() {
  const torch::NoGradGuard no_gradient;
  const auto batch = Batches::in_order(training_, feed_, 1, options_.threads, device_).next();
  Player student(network_, network_.graph(), feed_, objective_.wanted());
  const auto outputs = student.run(*batch, {});
  options_.threads =
      choose_threads(network_.multiply_adds() / std::max<int64_t>(batch->count, 1) * feed_.batch,
                     options_.threads);
  torch::set_num_threads(options_.threads);
  std::vector<torch::Tensor> wanted;
  if (teacher_ != nullptr) {
    Player teacher(*teacher_, network_.graph(), feed_, objective_.wanted_of_teacher());
    wanted = ask_teacher(teacher, *batch);
  }
  objective_.loss(outputs, wanted, *batch);
}

// Powers of the teacher's outputs: of samples drawn at random, of sequences all (they may begin
// with silence).
void Trainer::measure_teacher() {
  if (!objective_.needs_measuring()) return;
  const int64_t enough =
      feed_.in_sequence() ? training_.size() : std::min<int64_t>(training_.size(), 256);
  Player teacher(*teacher_, network_.graph(), feed_, objective_.wanted_of_teacher());
  Batches batches = Batches::shuffled(training_, feed_, options_, 0, device_);
  int64_t seen = 0;
  while (seen < enough) {
    const auto batch = batches.next();
    objective_.measure(ask_teacher(teacher, *batch), *batch);
    seen += batch->count;
    report_progress(options_.progress, "asking the teacher", std::min(seen, enough), enough);
  }
  objective_.settle();
}

torch::Tensor Trainer::loss_of(const Batch& batch, int64_t step) {
  std::vector<torch::Tensor> wanted;
  if (teacher_player_) wanted = ask_teacher(*teacher_player_, batch);
  // Statistics of part of a step would be those of too few samples; and what a teacher is learned
  // by is the network as it will run.
  const bool whole = batch.count == batch.step_samples;
  const Network::Mode mode{.training = objective_.labelled() && whole,
                           .seed = options_.seed * 1'000'003 + static_cast<uint64_t>(step)};
  const torch::Tensor loss = objective_.loss(student_.run(batch, mode), wanted, batch);
  if (whole) return loss;
  return loss * (static_cast<double>(batch.count) / static_cast<double>(batch.step_samples));
}

void Trainer::update(double loss, int epoch, int64_t number) {
  if (!std::isfinite(loss)) {
    fail(ErrorCode::invalid_argument,
         "the loss became {} in epoch {}, step {}: lower the learning rate (now {}), lengthen the "
         "warm-up, or look for NaN and infinities in the data",
         loss, epoch + 1, number + 1, options_.learning_rate);
  }
  const int64_t step = epoch * steps_per_epoch_ + number;
  for (size_t i = 0; i < rate_factors_.size(); ++i) {
    optimizer_->param_groups()[i].options().set_lr(learning_rate(step) * rate_factors_[i]);
  }
  clip_gradients();
  optimizer_->step();
  optimizer_->zero_grad();
  network_.project_scales();
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
  Batches batches = Batches::shuffled(training_, feed_, options_, epoch, device_);
  const std::string stage = stage_name(epoch, options_);
  double loss_sum = 0, step_loss = 0;
  int64_t number = 0;
  torch::Tensor open;  // of a step through a sequence: differentiated at its end
  report_progress(options_.progress, stage, 0, steps_per_epoch_);
  optimizer_->zero_grad();
  while (const auto batch = batches.next()) {
    const torch::Tensor loss = loss_of(*batch, epoch * steps_per_epoch_ + number);
    step_loss += loss.item<double>();
    if (feed_.in_sequence()) {
      open = open.defined() ? open + loss : loss;
    } else if (std::isfinite(step_loss)) {
      loss.backward();
    }
    if (!batch->ends_step) continue;
    if (open.defined() && std::isfinite(step_loss)) open.backward();
    open = torch::Tensor();
    student_.detach();
    update(step_loss, epoch, number++);
    loss_sum += step_loss * static_cast<double>(batch->step_samples);
    step_loss = 0;
    report_progress(options_.progress, stage, number, steps_per_epoch_);
  }
  return loss_sum / static_cast<double>(training_.size());
}

void Trainer::validate(Epoch& epoch) {
  const torch::NoGradGuard no_gradient;
  Batches batches = Batches::in_order(validation_, validation_feed_, std::max(options_.batch, 64),
                                      options_.threads, device_);
  Player student(network_, network_.graph(), validation_feed_, objective_.wanted());
  std::optional<Player> teacher;
  if (teacher_ != nullptr && !objective_.labelled()) {
    teacher.emplace(*teacher_, network_.graph(), validation_feed_, objective_.wanted_of_teacher());
  }
  Tally tally;
  while (const auto batch = batches.next()) {
    report_progress(options_.progress, "validation", tally.samples, validation_.size());
    std::vector<torch::Tensor> wanted;
    if (teacher) wanted = ask_teacher(*teacher, *batch);
    objective_.judge(student.run(*batch, {}), wanted, *batch, tally);
  }
  const auto samples = static_cast<double>(tally.samples);
  epoch.validation_samples = tally.samples;
  epoch.validation_accuracy = static_cast<double>(tally.correct) / samples;
  epoch.validation_loss = tally.loss / samples;
  epoch.validation_sqnr_db = tally.sqnr_db();
}

void Trainer::keep_best() {
  best_.clear();
  for (const torch::Tensor& tensor : network_.state()) best_.push_back(tensor.clone());
}

TrainResult Trainer::run() {
  try_out();
  measure_teacher();
  if (options_.checkpoint.empty() || !resume()) {
    validate(result_.start);
    keep_best();
  }
  for (auto epoch = static_cast<int>(result_.epochs.size()); epoch < options_.epochs; ++epoch) {
    Epoch done;
    done.train_loss = train_epoch(epoch);
    done.learning_rate = learning_rate((epoch + 1) * steps_per_epoch_ - 1);
    validate(done);
    // Without labels all accuracies are zero. What got no better than it was stays as it was.
    const auto rank = [](const Epoch& e) {
      return std::pair(e.validation_accuracy, -e.validation_loss);
    };
    const bool best = rank(done) > rank(result_.best());
    result_.epochs.push_back(done);
    if (best) {
      result_.best_epoch = epoch;
      keep_best();
    }
    if (!options_.checkpoint.empty()) save_checkpoint();
  }
  network_.set_state(best_);
  result_.graph = network_.to_graph();
  return std::move(result_);
}

}  // namespace nibble
