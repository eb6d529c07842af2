// If, Loop, Scan: the bodies are graphs, run by the runtime (EvalContext::subgraphs). A body's
// inputs are given in order; what it captures from outside is the runtime's business.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"

namespace nibble {
namespace {

const Graph* body_of(const Node& node, std::string_view name) {
  const Attribute* attribute = node.attributes.find(name);
  if (attribute == nullptr) return nullptr;
  const auto* graph = std::get_if<std::shared_ptr<const Graph>>(attribute);
  return graph == nullptr ? nullptr : graph->get();
}

const Graph& require_body(const Node& node, std::string_view name) {
  const Graph* body = body_of(node, name);
  if (body == nullptr) fail(ErrorCode::invalid_model, "the subgraph {} is missing", name);
  return *body;
}

SubgraphRunner& runner_of(EvalContext& context) {
  check(context.subgraphs != nullptr, "control flow needs the runtime's subgraph runner");
  return *context.subgraphs;
}

bool truth(const Tensor& tensor) {
  if (tensor.elements() != 1) {
    fail(ErrorCode::invalid_data, "a condition has the shape {}", tensor.shape().to_string());
  }
  return convert(tensor, DType::boolean).data<bool>()[0];
}

TensorType plain(const TensorType& type) { return {.dtype = type.dtype, .shape = type.shape}; }

// Where two types differ, what they agree on.
TensorType common(const TensorType& a, const TensorType& b) {
  TensorType type{.dtype = a.dtype};
  if (a.shape.has_rank() && a.shape.rank() == b.shape.rank()) {
    type.shape = a.shape;
    for (int axis = 0; axis < a.shape.rank(); ++axis) {
      if (a.shape[axis] != b.shape[axis]) type.shape[axis] = Shape::kUnknown;
    }
  }
  return type;
}

// ---- If

std::vector<TensorType> infer_if(const NodeTypes& types) {
  const Graph& yes = require_body(types.node, "then_branch");
  const Graph& no = require_body(types.node, "else_branch");
  if (yes.outputs.size() != no.outputs.size()) {
    fail(ErrorCode::invalid_model, "the branches give {} and {} outputs", yes.outputs.size(),
         no.outputs.size());
  }
  std::vector<TensorType> outputs;
  for (size_t i = 0; i < yes.outputs.size(); ++i) {
    outputs.push_back(common(yes.value(yes.outputs[i]).type, no.value(no.outputs[i]).type));
  }
  return outputs;
}

void eval_if(EvalContext& context) {
  const bool condition = truth(context.input(0));
  const std::vector<Tensor> results =
      runner_of(context).run(condition ? "then_branch" : "else_branch", {});
  for (size_t i = 0; i < results.size() && i < context.output_count(); ++i) {
    if (context.wants(i)) context.set_output(i, results[i]);
  }
}

// ---- Loop

// Slices that an iteration appends, stacked along a new first axis at the end.
class Stack {
 public:
  void push(const Tensor& slice) { slices_.push_back(slice); }
  bool empty() const { return slices_.empty(); }

  /// Joined along `axis` of the result, in reverse order if `backwards`.
  Tensor join(int axis, bool backwards) const {
    const Shape& slice = slices_.front().shape();
    Shape shape;
    for (int i = 0; i < axis; ++i) shape.push_back(slice[i]);
    shape.push_back(static_cast<int64_t>(slices_.size()));
    for (int i = axis; i < slice.rank(); ++i) shape.push_back(slice[i]);
    Tensor result(slices_.front().dtype(), shape);
    const int64_t outer = slice.elements(0, axis);
    const size_t run = slices_.front().bytes() / static_cast<size_t>(std::max<int64_t>(1, outer));
    auto* to = static_cast<std::byte*>(result.raw());
    for (int64_t o = 0; o < outer; ++o) {
      for (size_t i = 0; i < slices_.size(); ++i) {
        const Tensor& from = slices_[backwards ? slices_.size() - 1 - i : i];
        if (!(from.shape() == slice)) {
          fail(ErrorCode::invalid_data, "iterations give {} and {}", slice.to_string(),
               from.shape().to_string());
        }
        std::memcpy(to, static_cast<const std::byte*>(from.raw()) + static_cast<size_t>(o) * run,
                    run);
        to += run;
      }
    }
    return result;
  }

 private:
  std::vector<Tensor> slices_;
};

Tensor no_iterations(const Graph& body, size_t output, int axis) {
  const TensorType& type = body.value(body.outputs[output]).type;
  Shape shape;
  for (int i = 0; i <= std::max(0, type.shape.rank()); ++i) {
    if (i == axis) {
      shape.push_back(0);
    } else {
      shape.push_back(std::max<int64_t>(0, type.shape[i < axis ? i : i - 1]));
    }
  }
  return Tensor(type.dtype, shape);
}

std::vector<TensorType> infer_loop(const NodeTypes& types) {
  const Graph& body = require_body(types.node, "body");
  const size_t carried = types.input_count() < 2 ? 0 : types.input_count() - 2;
  std::vector<TensorType> outputs;
  for (size_t i = 0; i < types.node.outputs.size(); ++i) {
    if (i + 1 >= body.outputs.size()) {
      fail(ErrorCode::invalid_model, "the body gives {} outputs, {} are needed",
           body.outputs.size(), types.node.outputs.size() + 1);
    }
    TensorType type = plain(body.value(body.outputs[i + 1]).type);
    if (i < carried) {
      type = common(types.input(i + 2), type);
      if (type.dtype == DType::undefined) type.dtype = body.value(body.outputs[i + 1]).type.dtype;
    } else if (type.shape.has_rank()) {
      Shape stacked = {Shape::kUnknown};
      for (int64_t dim : type.shape) stacked.push_back(dim);
      type.shape = stacked;
    }
    outputs.push_back(type);
  }
  return outputs;
}

void eval_loop(EvalContext& context) {
  const Graph& body = require_body(context.node, "body");
  const int64_t trips = context.has(0) ? to_int64s(context.input(0)).at(0) : INT64_MAX;
  bool going = !context.has(1) || truth(context.input(1));
  std::vector<Tensor> state;
  for (size_t i = 2; i < context.input_count(); ++i) state.push_back(context.input(i));
  const size_t carried = state.size();
  std::vector<Stack> stacks(body.outputs.size() > carried + 1 ? body.outputs.size() - 1 - carried
                                                              : 0);
  for (int64_t i = 0; i < trips && going; ++i) {
    std::vector<Tensor> inputs = {Tensor::scalar<int64_t>(i), Tensor::scalar<bool>(going)};
    inputs.insert(inputs.end(), state.begin(), state.end());
    std::vector<Tensor> results = runner_of(context).run("body", inputs);
    if (results.size() < carried + 1) {
      fail(ErrorCode::invalid_model, "the body gives {} outputs, not {}", results.size(),
           carried + 1);
    }
    going = truth(results[0]);
    for (size_t k = 0; k < carried; ++k) state[k] = std::move(results[k + 1]);
    for (size_t k = 0; k < stacks.size(); ++k) stacks[k].push(results[k + 1 + carried]);
  }
  for (size_t i = 0; i < context.output_count(); ++i) {
    if (!context.wants(i)) continue;
    if (i < carried) {
      context.set_output(i, state[i]);
    } else {
      const Stack& stack = stacks.at(i - carried);
      context.set_output(i, stack.empty() ? no_iterations(body, i + 1, 0) : stack.join(0, false));
    }
  }
}

// ---- Scan (opset 9 on: no batch axis)

struct ScanPlan {
  size_t inputs = 0, states = 0, outputs = 0;
  std::vector<int64_t> input_axes, input_directions, output_axes, output_directions;
};

ScanPlan scan_plan(const Node& node, int opset) {
  if (opset < 9) fail(ErrorCode::unsupported, "Scan of opset 8 (with a batch axis)");
  ScanPlan plan;
  plan.inputs = static_cast<size_t>(node.attributes.required_integer("num_scan_inputs"));
  if (plan.inputs > node.inputs.size()) {
    fail(ErrorCode::invalid_model, "num_scan_inputs is {} with {} inputs", plan.inputs,
         node.inputs.size());
  }
  plan.states = node.inputs.size() - plan.inputs;
  if (plan.states > node.outputs.size()) {
    fail(ErrorCode::invalid_model, "{} states with {} outputs", plan.states, node.outputs.size());
  }
  plan.outputs = node.outputs.size() - plan.states;
  const auto list = [&](std::string_view name, size_t count) {
    std::vector<int64_t> values = node.attributes.integers(name);
    values.resize(count, 0);
    return values;
  };
  plan.input_axes = list("scan_input_axes", plan.inputs);
  plan.input_directions = list("scan_input_directions", plan.inputs);
  plan.output_axes = list("scan_output_axes", plan.outputs);
  plan.output_directions = list("scan_output_directions", plan.outputs);
  return plan;
}

// The slice `at` of `tensor` along `axis`, without that axis.
Tensor slice_of(const Tensor& tensor, int axis, int64_t at) {
  Shape shape;
  for (int i = 0; i < tensor.shape().rank(); ++i) {
    if (i != axis) shape.push_back(tensor.shape()[i]);
  }
  Tensor result(tensor.dtype(), shape);
  const int64_t outer = tensor.shape().elements(0, axis), extent = tensor.shape()[axis];
  const size_t run = result.bytes() / static_cast<size_t>(std::max<int64_t>(1, outer));
  for (int64_t o = 0; o < outer; ++o) {
    std::memcpy(
        static_cast<std::byte*>(result.raw()) + static_cast<size_t>(o) * run,
        static_cast<const std::byte*>(tensor.raw()) + static_cast<size_t>(o * extent + at) * run,
        run);
  }
  return result;
}

std::vector<TensorType> infer_scan(const NodeTypes& types) {
  const Graph& body = require_body(types.node, "body");
  const ScanPlan plan = scan_plan(types.node, types.opset);
  if (body.outputs.size() != types.node.outputs.size()) {
    fail(ErrorCode::invalid_model, "the body gives {} outputs, the node {}", body.outputs.size(),
         types.node.outputs.size());
  }
  int64_t steps = Shape::kUnknown;
  if (plan.inputs > 0 && types.shape(plan.states).has_rank()) {
    const Shape& shape = types.shape(plan.states);
    steps = shape[normalize_axis(plan.input_axes[0], shape.rank())];
  }
  std::vector<TensorType> outputs;
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    TensorType type = plain(body.value(body.outputs[i]).type);
    if (i < plan.states) {
      type = plain(types.input(i));
    } else if (type.shape.has_rank()) {
      const int axis = normalize_axis(plan.output_axes[i - plan.states], type.shape.rank() + 1);
      Shape stacked;
      for (int k = 0; k <= type.shape.rank(); ++k) {
        stacked.push_back(k == axis ? steps : type.shape[k < axis ? k : k - 1]);
      }
      type.shape = stacked;
    }
    outputs.push_back(type);
  }
  return outputs;
}

void eval_scan(EvalContext& context) {
  const Graph& body = require_body(context.node, "body");
  const ScanPlan plan = scan_plan(context.node, context.opset);
  std::vector<Tensor> state;
  for (size_t i = 0; i < plan.states; ++i) state.push_back(context.input(i));
  std::vector<int> axes;
  int64_t steps = 0;
  for (size_t i = 0; i < plan.inputs; ++i) {
    const Shape& shape = context.input(plan.states + i).shape();
    axes.push_back(normalize_axis(plan.input_axes[i], shape.rank()));
    if (i > 0 && shape[axes[i]] != steps) {
      fail(ErrorCode::invalid_model, "the scanned inputs have {} and {} slices", steps,
           shape[axes[i]]);
    }
    steps = shape[axes[i]];
  }
  std::vector<Stack> stacks(plan.outputs);
  for (int64_t step = 0; step < steps; ++step) {
    std::vector<Tensor> inputs = state;
    for (size_t i = 0; i < plan.inputs; ++i) {
      const int64_t at = plan.input_directions[i] != 0 ? steps - 1 - step : step;
      inputs.push_back(slice_of(context.input(plan.states + i), axes[i], at));
    }
    std::vector<Tensor> results = runner_of(context).run("body", inputs);
    for (size_t k = 0; k < plan.states; ++k) state[k] = std::move(results.at(k));
    for (size_t k = 0; k < plan.outputs; ++k) stacks[k].push(results.at(plan.states + k));
  }
  for (size_t i = 0; i < context.output_count(); ++i) {
    if (!context.wants(i)) continue;
    if (i < plan.states) {
      context.set_output(i, state[i]);
      continue;
    }
    const size_t k = i - plan.states;
    const int rank = body.value(body.outputs[i]).type.shape.rank();
    const int axis = plan.output_axes[k] == 0 ? 0 : normalize_axis(plan.output_axes[k], rank + 1);
    context.set_output(i, stacks[k].empty() ? no_iterations(body, i, axis)
                                            : stacks[k].join(axis, plan.output_directions[k] != 0));
  }
}

constexpr OpRow row(std::string_view name, int min_inputs, int max_inputs, InferSignature* infer,
                    EvalSignature* eval, Gradient gradient = Gradient::none) {
  return {.name = name,
          .min_inputs = min_inputs,
          .max_inputs = max_inputs,
          .max_outputs = -1,
          .infer = infer,
          .eval = eval,
          .kernels = "the body is compiled by the runtime",
          .why_float = "the body is compiled by the runtime",
          .gradient = gradient,
          .tolerance = 0};
}

// Loop may leave its trip count and its condition out.
constexpr std::array kRows = {
    row("If", 1, 1, infer_if, eval_if, Gradient::autograd),
    row("Loop", 0, -1, infer_loop, eval_loop),
    row("Scan", 1, -1, infer_scan, eval_scan),
};

}  // namespace

std::span<const OpRow> control_ops() { return kRows; }

}  // namespace nibble
