#include "train/torch/reconstruction.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "base/check.h"
#include "base/random.h"
#include "ops/roles.h"
#include "tensor/convert.h"
#include "train/torch/network.h"
#include "train/torch/tensors.h"
#include "train/torch/trainer.h"

namespace nibble {
namespace {

using Tensors = std::vector<torch::Tensor>;

// Adam's rates: of the rounding variables, and, in proportion to what they are, of biases and
// scales.
constexpr double kRoundingRate = 1e-2, kBiasRate = 1e-3, kScaleRate = 1e-3;
// This share of the steps lets all roundings open. From then on they are drawn to 0 and 1, by
// AdaRound's penalty, whose exponent falls from 20 to 2: but more and more strongly, so that all
// are decided well before the end, and the last ones can still take back what that did.
constexpr double kOpenShare = 0.2;
constexpr double kPenalty = 10, kPenaltyGrowth = 100;
constexpr double kUnrounded = 0.5;  // QDrop's share

// Shares memory with `tensor` where libtorch has its type.
torch::Tensor borrowed(const Tensor& tensor) {
  if (tensor.dtype() != DType::f32) return to_torch(tensor);
  std::vector<int64_t> sizes(tensor.shape().begin(), tensor.shape().end());
  return torch::from_blob(const_cast<void*>(tensor.raw()), sizes, torch::kFloat);
}

Tensors borrowed(const std::vector<Tensor>& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(borrowed(tensor));
  return result;
}

// What the block is shown in a step.
struct Lesson {
  Tensors inputs, quantized_inputs, results;
};

class Lessons {
 public:
  Lessons(const BlockSamples& samples, int64_t batch, uint64_t seed)
      : apart_(samples.apart), batch_(batch), random_(seed) {
    for (const BlockSamples::Batch& one : samples.batches) {
      all_.push_back({borrowed(one.inputs), borrowed(one.quantized_inputs), borrowed(one.results)});
    }
    if (apart_) rows_ = all_.front().inputs.front().size(0);
  }

  // Samples drawn at random.
  Lesson draw() {
    if (!apart_) return all_[random_.below(all_.size())];
    std::vector<int64_t> picks;
    for (int64_t i = 0; i < std::min(batch_, rows_); ++i) {
      picks.push_back(static_cast<int64_t>(random_.below(static_cast<uint64_t>(rows_))));
    }
    const torch::Tensor index = torch::tensor(picks);
    return each([&](const torch::Tensor& tensor) { return tensor.index_select(0, index); });
  }

  // visit(lesson) for all samples in order.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    if (!apart_) {
      std::ranges::for_each(all_, visit);
      return;
    }
    constexpr int64_t kAtATime = 64;
    for (int64_t first = 0; first < rows_; first += kAtATime) {
      const int64_t count = std::min(kAtATime, rows_ - first);
      visit(each([&](const torch::Tensor& tensor) { return tensor.narrow(0, first, count); }));
    }
  }

 private:
  template <typename Take>
  Lesson each(const Take& take) const {
    Lesson lesson;
    const auto fill = [&](const Tensors& from, Tensors& to) {
      for (const torch::Tensor& tensor : from) to.push_back(take(tensor));
    };
    fill(all_.front().inputs, lesson.inputs);
    fill(all_.front().quantized_inputs, lesson.quantized_inputs);
    fill(all_.front().results, lesson.results);
    return lesson;
  }

  std::vector<Lesson> all_;
  bool apart_;
  int64_t batch_, rows_ = 0;
  Random random_;
};

class BlockLearner {
 public:
  BlockLearner(const Graph& block, const Graph& real, const BlockToLearn& task,
               const ReconstructionOptions& options)
      : block_(block),
        task_(task),
        options_(options),
        network_(block, {&real, true}, torch::kCPU),
        lessons_(task.samples, options.batch, options.seed) {}

  Graph run() {
    measure_powers();
    Network given(block_, {}, torch::kCPU);
    const double start = error_of(given);
    if (!(start > 0)) return block_;  // nothing is lost
    torch::set_num_threads(choose_threads(given.multiply_adds() / samples_at_once_ * options_.batch,
                                          options_.threads));
    prepare();
    for (int64_t step = 0; step < options_.steps; ++step) {
      report_progress(options_.progress, kLearningToRound, options_.before + step, options_.total);
      learn(step, start);
    }
    network_.harden();
    return error_of(network_) < start ? network_.to_graph() : block_;
  }

 private:
  void measure_powers() {
    std::vector<double> sums(block_.outputs.size(), 0);
    double batches = 0;
    lessons_.for_each([&](const Lesson& lesson) {
      ++batches;
      for (size_t i = 0; i < sums.size(); ++i) {
        if (lesson.results[i].is_floating_point() && lesson.results[i].numel() > 0)
          sums[i] += lesson.results[i].square().mean().item<double>();
      }
    });
    for (const double sum : sums) powers_.push_back(sum / batches);
  }

  torch::Tensor error(const Tensors& outputs, const Tensors& results) const {
    torch::Tensor total = torch::zeros({});
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (powers_[i] > 0 && outputs[i].is_floating_point()) {
        total = total + (outputs[i] - results[i]).square().mean() / powers_[i];
      }
    }
    return total;
  }

  // Over all samples, as the block will run.
  double error_of(Network& network) {
    const torch::NoGradGuard no_gradient;
    double sum = 0, batches = 0;
    lessons_.for_each([&](const Lesson& lesson) {
      const Tensors outputs =
          network.forward(lesson.quantized_inputs, block_.outputs, {.rounded_inputs = true});
      sum += error(outputs, lesson.results).item<double>();
      ++batches;
      const torch::Tensor& first = lesson.inputs.front();
      samples_at_once_ = first.dim() > 0 ? std::max<int64_t>(first.size(0), 1) : 1;
    });
    return sum / batches;
  }

  void prepare() {
    std::vector<torch::optim::OptimizerParamGroup> groups;
    const auto add = [&](const torch::Tensor& tensor, double rate) {
      rates_.push_back(rate);
      groups.emplace_back(Tensors{tensor}, std::make_unique<torch::optim::AdamOptions>(rate));
    };
    for (const std::string& weight : task_.weights) {
      roundings_.push_back(&network_.soften(weight, start_of(weight)));
      add(roundings_.back()->variable(), kRoundingRate);
    }
    std::set<std::string> biases;
    for (const NodeId id : block_.nodes()) {
      const Node& node = block_.node(id);
      if (!has_weight(block_, node) || !bias_of(node)) continue;
      if (task_.weights.contains(block_.value(weight_of(node)).name)) {
        biases.insert(block_.value(bias_of(node)).name);
      }
    }
    for (const Parameter& parameter : network_.parameters()) {
      if (biases.contains(parameter.name)) {
        add(parameter.tensor, kBiasRate * size_of(parameter.tensor));
      }
      if (parameter.role == ParameterRole::scale && task_.grids.contains(parameter.of)) {
        add(parameter.tensor, kScaleRate * parameter.tensor.mean().item<double>());
      }
    }
    optimizer_ = std::make_unique<torch::optim::Adam>(std::move(groups));
  }

  // None where learning starts at the real weight.
  torch::Tensor start_of(const std::string& weight) const {
    if (!task_.rounded.contains(weight)) return {};
    const Value& coded = block_.value(*block_.find_value(weight));
    return to_torch(dequantize_tensor(coded.data, *coded.type.quant));
  }

  void learn(int64_t step, double start) {
    const double done = static_cast<double>(step) / static_cast<double>(options_.steps);
    const uint64_t seed = options_.seed * 1'000'003 + static_cast<uint64_t>(step);
    const Lesson lesson = lessons_.draw();
    Tensors inputs;
    for (size_t i = 0; i < lesson.inputs.size(); ++i) {
      const torch::Tensor &real = lesson.inputs[i], &rounded = lesson.quantized_inputs[i];
      const Unrounded share{static_cast<uint32_t>(Random(seed + i).next()), kUnrounded};
      inputs.push_back(real.is_floating_point() ? partly_rounded(real, rounded, share) : rounded);
    }
    const Tensors outputs = network_.forward(
        inputs, block_.outputs, {.seed = seed, .rounded_inputs = true, .unrounded = kUnrounded});
    torch::Tensor loss = error(outputs, lesson.results) / start;
    if (done >= kOpenShare) loss = loss + penalty((done - kOpenShare) / (1 - kOpenShare));
    optimizer_->zero_grad();
    loss.backward();
    const double decay = 0.5 * (1 + std::cos(std::numbers::pi * done));
    for (size_t i = roundings_.size(); i < rates_.size(); ++i) {
      optimizer_->param_groups()[i].options().set_lr(rates_[i] * decay);
    }
    optimizer_->step();
    network_.project_scales();
  }

  torch::Tensor penalty(double progress) const {
    const double exponent = 2 + 18 * 0.5 * (1 + std::cos(std::numbers::pi * progress));
    torch::Tensor undecided = torch::zeros({});
    for (const SoftRounding* rounding : roundings_) {
      undecided = undecided + rounding->undecided(exponent);
    }
    const double weight = kPenalty * std::pow(kPenaltyGrowth, progress);
    return undecided * (weight / static_cast<double>(roundings_.size()));
  }

  const Graph& block_;
  const BlockToLearn& task_;
  const ReconstructionOptions& options_;
  Network network_;
  Lessons lessons_;
  std::vector<double> powers_;
  std::vector<SoftRounding*> roundings_;
  std::vector<double> rates_;
  std::unique_ptr<torch::optim::Adam> optimizer_;
  int64_t samples_at_once_ = 1;
};

}  // namespace

Graph reconstruct_block(const Graph& block, const Graph& real, const BlockToLearn& task,
                        const ReconstructionOptions& options) {
  return BlockLearner(block, real, task, options).run();
}

}  // namespace nibble
