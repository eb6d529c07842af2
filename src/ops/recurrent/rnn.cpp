// LSTM, GRU and RNN as ONNX defines them, with weights in f32.
#include "ops/recurrent/rnn.h"

#include "base/check.h"
#include "ops/families.h"
#include "ops/matmul/matmul.h"
#include "ops/support/blas.h"
#include "ops/support/float_eval.h"
#include "ops/support/kernel_cache.h"

namespace nibble {
namespace {

using Cell = RecurrentCell;
using Problem = RecurrentProblem;

// Weights in f32, as the inputs of the node hold them.
class FloatWeights : public RecurrentWeights {
 public:
  explicit FloatWeights(const Problem& problem) : p_(problem) {}

  void project(EvalContext& context, int direction, float* out) const override {
    const int64_t width = p_.width();
    const Shape x_shape = {p_.steps * p_.batch, p_.inputs}, w_shape = {width, p_.inputs};
    Node gemm;
    gemm.op = "Gemm";
    gemm.outputs = {{}};
    gemm.attributes.set("transB", int64_t{1});
    const auto part = [&](size_t input, int64_t stride, const Shape& shape) {
      auto* all = static_cast<float*>(const_cast<void*>(context.input(input).raw()));
      check(shape.elements() <= stride, "a direction's share of its input");
      return Tensor::borrow(DType::f32, shape, all + direction * stride);
    };
    std::vector<Tensor> inputs = {context.input(0).reshaped(x_shape),
                                  part(1, width * p_.inputs, w_shape)};
    if (context.has(3)) inputs.push_back(part(3, 2 * width, {width}));
    std::vector<Tensor> outputs = {Tensor::borrow(DType::f32, {x_shape[0], width}, out)};
    EvalContext inner(gemm, context.opset, inputs, outputs, context.pool);
    require_op(gemm, context.opset).eval.function(inner);
  }

  void recur(EvalContext& context, int direction, int64_t begin, int64_t end, const float* state,
             float* result) const override {
    const float* r = context.input(2).data<float>().data() + direction * p_.width() * p_.hidden;
    multiply_vector({.matrix = r + begin * p_.hidden,
                     .vector = state,
                     .out = result,
                     .rows = end - begin,
                     .columns = p_.hidden});
  }

 private:
  const Problem& p_;
};

template <Cell cell>
std::vector<TensorType> infer(const NodeTypes& types) {
  const DType dtype = types.input(0).dtype;
  std::vector<TensorType> outputs(types.node.outputs.size(), {.dtype = dtype});
  if (!types.shape(0).has_rank() || !types.shape(1).has_rank() || !types.shape(2).has_rank()) {
    return outputs;
  }
  const Problem p =
      recurrent_problem(types.node, cell, types.shape(0), types.shape(1), types.shape(2));
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i].shape = i == 0 ? sequence_shape(p) : state_shape(p);
  }
  return outputs;
}

void require_weights(const EvalContext& context, const Problem& p) {
  require_input(context, 1, {p.directions, p.width(), p.inputs});
  require_input(context, 2, {p.directions, p.width(), p.hidden});
}

template <Cell cell>
void eval(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (is_half(dtype)) return eval_as_f32(context, eval<cell>);
  if (dtype != DType::f32) {
    fail(ErrorCode::unsupported, "no recurrent network of {}", name_of(dtype));
  }
  const Problem p = recurrent_problem(context.node, cell, context.input(0).shape(),
                                      context.input(1).shape(), context.input(2).shape());
  require_weights(context, p);
  Tensor workspace(DType::u8, {static_cast<int64_t>(recurrent_workspace(p))});
  run_recurrent(context, p, FloatWeights(p), workspace.raw());
}

// Gate rows are output channels; the directions share their scales.
WeightAxes axes(const Node&, const Shape&) { return {.output = 1, .reduction = 2}; }

template <Cell cell>
inline constexpr std::array kPackedKernels = {
    KernelRow{.name = "packed weights",
              .reads = {Reads::real, Reads::weight, Reads::weight, Reads::real},
              .gives = Gives::real,
              .make = packed_recurrent<cell>}};

template <Cell cell>
constexpr OpRow row(std::string_view name, int max_inputs, int max_outputs) {
  OpRow result = {.name = name,
                  .min_inputs = 3,
                  .max_inputs = max_inputs,
                  .max_outputs = max_outputs,
                  .infer = infer<cell>,
                  .eval = eval<cell>,
                  .kernels = kPackedKernels<cell>,
                  .why_float = "states are kept in float: an error would grow with every step",
                  .gradient = Gradient::autograd,
                  .tolerance = 1e-4};
  result.weights = {.axes = axes, .matrix = true, .second = 2, .stored = true};
  return result;
}

constexpr std::array kRows = {
    row<Cell::gru>("GRU", 6, 2),
    row<Cell::lstm>("LSTM", 8, 3),
    row<Cell::rnn>("RNN", 6, 2),
};

}  // namespace

std::span<const OpRow> rnn_ops() { return kRows; }

}  // namespace nibble
