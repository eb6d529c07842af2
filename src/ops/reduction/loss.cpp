// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: training losses that exported training
// graphs end in.
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

/// Scores [batch, classes, positions], labels [batch, positions].
struct LossProblem {
  int64_t batch;
  int64_t classes;
  int64_t positions;

  explicit LossProblem(const EvalContext& context) {
    const Shape& shape = context.input(0).shape();
    const Shape& labels = context.input(1).shape();
    if (shape.rank() < 2 ||
        labels.elements() != shape.elements() / std::max<int64_t>(1, shape[1])) {
      fail(ErrorCode::invalid_model, "labels {} do not fit scores {}", labels.to_string(),
           shape.to_string());
    }
    batch = shape[0];
    classes = shape[1];
    positions = shape.elements(2, shape.rank());
  }
};

Tensor as_double(const Tensor& tensor) { return convert(tensor, DType::f64).clone(); }

/// `log_probabilities` gathered by label, weighted and reduced into output 0.
void eval_loss(EvalContext& context, const LossProblem& p, std::span<const double> log_p) {
  const std::vector<int64_t> labels = to_int64s(context.input(1));
  std::vector<double> class_weight(static_cast<size_t>(p.classes), 1.0);
  if (context.has(2)) {
    const Tensor given = as_double(context.input(2));
    if (given.elements() != p.classes) {
      fail(ErrorCode::invalid_model, "{} weights for {} classes", given.elements(), p.classes);
    }
    class_weight.assign(given.data<double>().begin(), given.data<double>().end());
  }
  std::optional<int64_t> ignored;
  if (context.node.attributes.has("ignore_index")) {
    ignored = context.node.attributes.required_integer("ignore_index");
  }
  Tensor losses(DType::f64, context.input(1).shape());
  double sum = 0;
  double weights = 0;
  for (int64_t i = 0; i < p.batch * p.positions; ++i) {
    const int64_t label = labels[static_cast<size_t>(i)];
    if (label == ignored) continue;
    if (label < 0 || label >= p.classes) {
      fail(ErrorCode::invalid_data, "label {} is not one of {} classes", label, p.classes);
    }
    const double weight = class_weight[static_cast<size_t>(label)];
    const int64_t at = (i / p.positions * p.classes + label) * p.positions + i % p.positions;
    const double loss = -weight * log_p[static_cast<size_t>(at)];
    losses.data<double>()[static_cast<size_t>(i)] = loss;
    sum += loss;
    weights += weight;
  }
  const DType dtype = context.input(0).dtype();
  const std::string reduction = context.node.attributes.text("reduction", "mean");
  if (reduction == "none") return context.set_output(0, convert(losses, dtype));
  if (reduction != "sum" && reduction != "mean") {
    fail(ErrorCode::invalid_model, "attribute 'reduction' is \"{}\", expected none, sum or mean",
         reduction);
  }
  const double result = reduction == "mean" ? sum / weights : sum;
  context.set_output(0, convert(Tensor::scalar(result), dtype));
}

void eval_nll(EvalContext& context) {
  const LossProblem p(context);
  const Tensor log_p = as_double(context.input(0));
  eval_loss(context, p, log_p.data<double>());
}

void eval_cross_entropy(EvalContext& context) {
  const LossProblem p(context);
  Tensor log_p = as_double(context.input(0));
  double* x = log_p.data<double>().data();
  for (int64_t i = 0; i < p.batch * p.positions; ++i) {
    double* first = x + i / p.positions * p.classes * p.positions + i % p.positions;
    double top = first[0];
    for (int64_t c = 1; c < p.classes; ++c) top = std::max(top, first[c * p.positions]);
    double sum = 0;
    for (int64_t c = 0; c < p.classes; ++c) sum += std::exp(first[c * p.positions] - top);
    const double shift = top + std::log(sum);
    for (int64_t c = 0; c < p.classes; ++c) first[c * p.positions] -= shift;
  }
  if (context.wants(1)) context.set_output(1, convert(log_p, context.input(0).dtype()));
  eval_loss(context, p, log_p.data<double>());
}

std::vector<TensorType> infer_loss(const NodeTypes& types) {
  const DType dtype = types.input(0).dtype;
  const bool whole = types.node.attributes.text("reduction", "mean") == "none";
  std::vector<TensorType> outputs = one_output(dtype, whole ? types.shape(1) : Shape{});
  if (types.node.outputs.size() > 1) outputs.push_back(typed(dtype, types.shape(0)));
  return outputs;
}

constexpr OpRow row(std::string_view name, int outputs, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 3,
          .max_outputs = outputs,
          .infer = infer_loss,
          .eval = eval,
          .kernels = "not part of inference",
          .why_float = "a loss is a real number"};
}

constexpr std::array kRows = {
    row("NegativeLogLikelihoodLoss", 1, eval_nll),
    row("SoftmaxCrossEntropyLoss", 2, eval_cross_entropy),
};

}  // namespace

std::span<const OpRow> loss_ops() { return kRows; }

}  // namespace nibble
