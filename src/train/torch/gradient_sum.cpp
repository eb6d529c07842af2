#include "train/torch/gradient_sum.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

namespace nibble {
namespace {

// Large enough that sending one costs little more than its bytes, small enough that the first are
// on their way while most of the backward pass is still to come.
constexpr int64_t kBucketElements = 1 << 18;

}  // namespace

// Called when a gradient is complete.
class GradientSum::Hook final : public torch::autograd::FunctionPostHook {
 public:
  Hook(GradientSum& sum, size_t parameter) : sum_(sum), parameter_(parameter) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    sum_.reached(parameter_);
    return outputs;
  }

 private:
  GradientSum& sum_;
  size_t parameter_;
};

GradientSum::GradientSum(const Network& network, RankGroup& ranks) : ranks_(ranks) {
  for (const Parameter& parameter : network.parameters()) parameters_.push_back(parameter.tensor);
  bucket_of_.resize(parameters_.size());
  int64_t elements = kBucketElements;
  for (size_t i = parameters_.size(); i-- > 0;) {
    if (elements >= kBucketElements) {
      buckets_.emplace_back();
      elements = 0;
    }
    Bucket& bucket = buckets_.back();
    bucket_of_[i] = buckets_.size() - 1;
    bucket.parameters.push_back(i);
    bucket.offsets.push_back(elements);
    elements += parameters_[i].numel();
    bucket.sums = torch::zeros({elements}, parameters_[i].options().requires_grad(false));
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    nodes_.push_back(torch::autograd::impl::grad_accumulator(parameters_[i]));
    hooks_.push_back(nodes_.back()->add_post_hook(std::make_unique<Hook>(*this, i)));
  }
}

GradientSum::~GradientSum() {
  for (size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->del_post_hook(hooks_[i]);
}

void GradientSum::backward(const torch::Tensor& loss, bool last) {
  if (last) {
    sent_ = 0;
    for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
  }
  sending_ = last;
  loss.backward();
  sending_ = false;
}

void GradientSum::reached(size_t parameter) {
  if (!sending_) return;
  --buckets_[bucket_of_[parameter]].missing;
  send_ready();
}

void GradientSum::send_ready() {
  while (sent_ < buckets_.size() && buckets_[sent_].missing == 0) send(buckets_[sent_++]);
}

void GradientSum::send(Bucket& bucket) {
  const torch::NoGradGuard no_gradient;
  for (size_t i = 0; i < bucket.parameters.size(); ++i) {
    const torch::Tensor& parameter = parameters_[bucket.parameters[i]];
    const torch::Tensor into = bucket.sums.narrow(0, bucket.offsets[i], parameter.numel());
    if (parameter.grad().defined()) {
      into.copy_(parameter.grad().reshape(-1));
    } else {
      into.zero_();
    }
  }
  bucket.pending = ranks_.start_sum(bucket.sums, SumLane::gradients);
}

StepSums GradientSum::finish(const StepSums& mine) {
  const torch::NoGradGuard no_gradient;
  // What was not reached in the last backward pass of this rank.
  while (sent_ < buckets_.size()) send(buckets_[sent_++]);
  std::vector<double> told = {mine.loss, mine.stop ? 1.0 : 0.0};
  for (const torch::Tensor& parameter : parameters_) {
    told.push_back(parameter.grad().defined() ? 1 : 0);
  }
  const torch::Tensor sums = torch::tensor(told, torch::kDouble);
  ranks_.sum(sums, SumLane::gradients);
  const auto* sum = sums.data_ptr<double>();
  for (Bucket& bucket : buckets_) {
    bucket.pending->wait();
    bucket.pending.reset();
    for (size_t i = 0; i < bucket.parameters.size(); ++i) {
      torch::Tensor& parameter = parameters_[bucket.parameters[i]];
      if (sum[2 + bucket.parameters[i]] == 0) continue;
      parameter.mutable_grad() =
          bucket.sums.narrow(0, bucket.offsets[i], parameter.numel()).view_as(parameter);
    }
  }
  sent_ = 0;
  return {sum[0], sum[1] != 0};
}

}  // namespace nibble
