#include "train/torch/objective.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace nibble {
namespace {

// The samples of a batch, without those that fill it up.
torch::Tensor own(const torch::Tensor& tensor, const Batch& batch) {
  if (tensor.dim() == 0 || batch.inputs.empty()) return tensor;
  const bool filled = tensor.size(0) > batch.count && !batch.inputs[0].sizes().empty() &&
                      tensor.size(0) == batch.inputs[0].size(0);
  return filled ? tensor.narrow(0, 0, batch.count) : tensor;
}

ValueId by_name(const Graph& graph, const std::string& name) {
  const auto found = graph.find_value(name);
  check(found.has_value(), "a teacher has the outputs of the network");
  return *found;
}

// Class scores that say so themselves: a network with regression outputs looks like one with
// logits.
bool gives_class_scores(const Graph& graph, const Head& head) {
  return graph.outputs.size() == 1 && head.softmax &&
         graph.value(graph.outputs[0]).type.shape.rank() == 2;
}

int64_t correct(const torch::Tensor& logits, const torch::Tensor& labels, bool sigmoid) {
  const torch::Tensor predicted =
      sigmoid ? (logits.squeeze(1) > 0).to(torch::kLong) : logits.argmax(1);
  return (predicted == labels).sum().item<int64_t>();
}

}  // namespace

Head find_head(const Graph& graph) {
  check(!graph.outputs.empty(), "a graph without outputs cannot be trained");
  const ValueId output = graph.outputs[0];
  const auto producer = graph.producer(output);
  if (!producer) return {output};
  const Node& node = graph.node(*producer);
  if (node.op == "Sigmoid") return {.logits = node.input(0), .sigmoid = true};
  if (node.op == "Softmax" || node.op == "LogSoftmax") {
    return {.logits = node.input(0), .softmax = true};
  }
  return {output};
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

void Tally::merge(Tally&& other) {
  loss += other.loss;
  samples += other.samples;
  correct += other.correct;
  signal.resize(std::max(signal.size(), other.signal.size()));
  error.resize(signal.size());
  for (size_t i = 0; i < other.signal.size(); ++i) {
    signal[i] += other.signal[i];
    error[i] += other.error[i];
  }
}

double Tally::sqnr_db() const {
  double sum = 0;
  for (size_t i = 0; i < signal.size(); ++i) {
    sum += error[i] == 0 ? std::numeric_limits<double>::infinity()
                         : 10 * std::log10(signal[i] / error[i]);
  }
  return signal.empty() ? 0 : sum / static_cast<double>(signal.size());
}

Objective::Objective(const Graph& graph, const Graph* teacher, const Dataset& data,
                     const TrainOptions& options)
    : labelled_(!learns_from_teacher(options.loss, data.classes() > 0)),
      classes_(data.classes()),
      smoothing_(options.label_smoothing),
      head_(find_head(graph)) {
  if (labelled_) {
    add_labelled(teacher, options);
    return;
  }
  check(teacher != nullptr, "learning without labels needs a teacher");
  const bool scores = gives_class_scores(graph, head_);
  const Loss usual = scores ? Loss::distill : Loss::sqnr;
  add_taught(graph, *teacher, options.loss == Loss::automatic ? usual : options.loss);
}

void Objective::add_labelled(const Graph* teacher, const TrainOptions& options) {
  const Loss usual = head_.sigmoid ? Loss::binary : Loss::cross_entropy;
  const Loss loss = options.loss == Loss::automatic ? usual : options.loss;
  if (loss != usual) {
    fail(ErrorCode::invalid_argument, "{}",
         head_.sigmoid ? "the network ends in a Sigmoid: its loss is binary, not cross_entropy"
                       : "binary is the loss of a network that ends in one Sigmoid; this one has "
                         "scores of classes: cross_entropy");
  }
  const bool taught = teacher != nullptr && options.distill > 0;
  wanted_ = {head_.logits};
  terms_.push_back({.row = &find_loss(loss), .share = taught ? 1 - options.distill : 1});
  if (!taught) return;
  wanted_of_teacher_ = {find_head(*teacher).logits};
  terms_.push_back({.row = &find_loss(Loss::distill),
                    .share = options.distill,
                    .sigmoid = head_.sigmoid,
                    .from_teacher = true});
}

void Objective::add_taught(const Graph& graph, const Graph& teacher, Loss loss) {
  const LossRow& row = find_loss(loss);
  const auto want = [&](ValueId mine, ValueId others) {
    wanted_.push_back(mine);
    wanted_of_teacher_.push_back(others);
    return wanted_.size() - 1;
  };
  for (const ValueId output : graph.outputs) {
    const Value& value = graph.value(output);
    if (!is_float(value.type.dtype)) continue;
    judged_.push_back(want(output, by_name(teacher, value.name)));
    if (row.reads_scores) continue;
    terms_.push_back(
        {.row = &row, .output = judged_.back(), .from_teacher = true, .name = value.name});
  }
  if (row.reads_scores) {
    terms_.push_back({.row = &row,
                      .output = want(head_.logits, find_head(teacher).logits),
                      .sigmoid = head_.sigmoid,
                      .from_teacher = true});
  }
  if (terms_.empty()) {
    fail(ErrorCode::unsupported,
         "no output of the network holds real numbers that a teacher's could be compared with");
  }
  for (Term& term : terms_) term.share = 1.0 / static_cast<double>(terms_.size());
}

void Objective::measure(const std::vector<torch::Tensor>& teacher, const Batch& batch) {
  for (Term& term : terms_) {
    const torch::Tensor output = own(teacher[term.output], batch);
    term.squares += output.to(torch::kDouble).square().sum().item<double>();
    term.elements += output.numel();
  }
}

void Objective::settle() {
  for (Term& term : terms_) {
    if (term.squares > 0) term.power = term.squares / static_cast<double>(term.elements);
  }
}

torch::Tensor Objective::term_loss(const Term& term, const std::vector<torch::Tensor>& outputs,
                                   const std::vector<torch::Tensor>& teacher,
                                   const Batch& batch) const {
  LossInput in{.output = own(outputs[term.output], batch),
               .sigmoid = term.sigmoid,
               .smoothing = smoothing_,
               .power = term.power};
  if (term.from_teacher) in.teacher = own(teacher[term.output], batch);
  if (labelled_) {
    in.labels = own(batch.labels, batch);
    in.output = check_logits(in.output, head_, classes_);
  } else if (term.row->reads_scores) {
    in.output = in.output.flatten(1);
  }
  if (term.row->reads_scores && term.from_teacher) in.teacher = in.teacher.flatten(1);
  if (term.from_teacher && in.output.sizes() != in.teacher.sizes()) {
    fail(ErrorCode::unsupported,
         "the output '{}' has another size than the teacher's for the same sample ({} elements and "
         "{}): what depends on the answers themselves cannot be compared",
         term.name, in.output.numel(), in.teacher.numel());
  }
  const torch::Tensor loss = term.row->run(in);
  if (!batch.other_labels.defined() || term.from_teacher) return loss;
  in.labels = own(batch.other_labels, batch);
  return loss * batch.share + term.row->run(in) * (1 - batch.share);
}

torch::Tensor Objective::loss(const std::vector<torch::Tensor>& outputs,
                              const std::vector<torch::Tensor>& teacher, const Batch& batch) const {
  torch::Tensor total;
  for (const Term& term : terms_) {
    torch::Tensor loss = term_loss(term, outputs, teacher, batch);
    if (term.share != 1) loss = loss * term.share;
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

void Objective::judge(const std::vector<torch::Tensor>& outputs,
                      const std::vector<torch::Tensor>& teacher, const Batch& batch,
                      Tally& tally) const {
  const auto count = static_cast<double>(batch.count);
  tally.samples += batch.count;
  if (labelled_) {
    // By the labels alone, whatever was learned from.
    tally.loss += term_loss(terms_[0], outputs, {}, batch).item<double>() * count;
    tally.correct += correct(check_logits(own(outputs[0], batch), head_, classes_),
                             own(batch.labels, batch), head_.sigmoid);
    return;
  }
  tally.loss += loss(outputs, teacher, batch).item<double>() * count;
  tally.signal.resize(judged_.size());
  tally.error.resize(judged_.size());
  for (size_t i = 0; i < judged_.size(); ++i) {
    const torch::Tensor wanted = own(teacher[judged_[i]], batch).to(torch::kDouble);
    const torch::Tensor mine = own(outputs[judged_[i]], batch).to(torch::kDouble);
    tally.signal[i] += wanted.square().sum().item<double>();
    tally.error[i] += (mine - wanted).square().sum().item<double>();
  }
}

}  // namespace nibble
