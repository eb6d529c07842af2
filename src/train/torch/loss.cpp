#include "train/torch/loss.h"

#include "base/check.h"

namespace nibble {
namespace {

constexpr double kTemperature = 2;  // of distillation

torch::Tensor against_labels(const torch::Tensor& logits, const torch::Tensor& labels, bool sigmoid,
                             double smoothing) {
  if (sigmoid) {
    const torch::Tensor target = labels.to(logits.scalar_type()) * (1 - smoothing) + smoothing / 2;
    return torch::binary_cross_entropy_with_logits(logits.squeeze(1), target);
  }
  const torch::Tensor log_p = logits.log_softmax(1);
  const torch::Tensor of_label = log_p.gather(1, labels.unsqueeze(1)).mean();
  return -(of_label * (1 - smoothing) + log_p.mean() * smoothing);
}

torch::Tensor against_teacher(const torch::Tensor& logits, const torch::Tensor& teacher,
                              bool sigmoid) {
  if (sigmoid) return torch::binary_cross_entropy_with_logits(logits, teacher.sigmoid());
  const torch::Tensor wanted = (teacher / kTemperature).softmax(1);
  const torch::Tensor log_p = (logits / kTemperature).log_softmax(1);
  return -(wanted * log_p).sum(1).mean() * (kTemperature * kTemperature);
}

}  // namespace

Head find_head(const Graph& graph) {
  check(!graph.outputs.empty(), "a graph without outputs cannot be trained");
  const ValueId output = graph.outputs[0];
  const auto producer = graph.producer(output);
  if (!producer) return {output, false};
  const Node& node = graph.node(*producer);
  if (node.op == "Sigmoid") return {node.input(0), true};
  if (node.op == "Softmax" || node.op == "LogSoftmax") return {node.input(0), false};
  return {output, false};
}

torch::Tensor check_logits(const torch::Tensor& logits, const Head& head, int classes) {
  const torch::Tensor flat = logits.flatten(1);
  if (head.sigmoid && (flat.size(1) != 1 || classes != 2)) {
    fail(ErrorCode::invalid_argument,
         "a network that ends in Sigmoid needs one output and 2 classes; it has {} outputs, the "
         "data set {} classes",
         flat.size(1), classes);
  }
  if (!head.sigmoid && flat.size(1) != classes) {
    fail(ErrorCode::invalid_argument, "the network has {} outputs, the data set {} classes",
         flat.size(1), classes);
  }
  return flat;
}

torch::Tensor classification_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                                  const torch::Tensor& teacher, const Head& head,
                                  const TrainOptions& options) {
  const torch::Tensor loss = against_labels(logits, labels, head.sigmoid, options.label_smoothing);
  if (!teacher.defined()) return loss;
  return loss * (1 - options.distill) +
         against_teacher(logits, teacher, head.sigmoid) * options.distill;
}

int64_t count_correct(const torch::Tensor& logits, const torch::Tensor& labels, const Head& head) {
  const torch::Tensor predicted =
      head.sigmoid ? (logits.squeeze(1) > 0).to(torch::kLong) : logits.argmax(1);
  return (predicted == labels).sum().item<int64_t>();
}

}  // namespace nibble
