// LSTM, GRU and RNN as ONNX defines them. For each direction the inputs of all steps are projected
// at once (one matrix product); the steps then multiply only the state.
//
// Gate order: LSTM i o f c, GRU z r h, RNN a single one.
#include "ops/recurrent/rnn.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/check.h"
#include "ops/families.h"
#include "ops/matmul/matmul.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/kernel_cache.h"

namespace nibble {
namespace {

using Cell = RecurrentCell;
using Activation = RecurrentActivation;
using Problem = RecurrentProblem;

struct ActivationRow {
  std::string_view name;
  float (*function)(float, float, float);
  float alpha, beta;  // defaults
};

constexpr std::array kActivations = {
    ActivationRow{"relu", [](float x, float, float) { return std::max(x, 0.0F); }, 0, 0},
    ActivationRow{"tanh", [](float x, float, float) { return std::tanh(x); }, 0, 0},
    ActivationRow{"sigmoid", [](float x, float, float) { return 1 / (1 + std::exp(-x)); }, 0, 0},
    ActivationRow{"affine", [](float x, float a, float b) { return a * x + b; }, 1, 0},
    ActivationRow{"leakyrelu", [](float x, float a, float) { return x < 0 ? a * x : x; }, 0.01F, 0},
    ActivationRow{"thresholdedrelu", [](float x, float a, float) { return x > a ? x : 0; }, 1, 0},
    ActivationRow{"scaledtanh", [](float x, float a, float b) { return a * std::tanh(b * x); }, 1,
                  1},
    ActivationRow{"hardsigmoid",
                  [](float x, float a, float b) { return std::clamp(a * x + b, 0.0F, 1.0F); }, 0.2F,
                  0.5F},
    ActivationRow{"elu", [](float x, float a, float) { return x < 0 ? a * std::expm1(x) : x; }, 1,
                  0},
    ActivationRow{"softsign", [](float x, float, float) { return x / (1 + std::abs(x)); }, 0, 0},
    ActivationRow{"softplus", [](float x, float, float) { return std::log1p(std::exp(x)); }, 0, 0},
};

Activation find_activation(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const ActivationRow& row : kActivations) {
    if (row.name == name) return {row.function, row.alpha, row.beta};
  }
  fail(ErrorCode::unsupported, "the activation '{}' is not known", name);
}

// ---- What is to be computed

std::vector<Activation> activations_of(const Node& node, Cell cell, int directions) {
  std::vector<std::string> names;
  if (const Attribute* found = node.attributes.find("activations")) {
    if (const auto* list = std::get_if<std::vector<std::string>>(found)) names = *list;
  }
  if (names.empty()) {
    for (int d = 0; d < directions; ++d) {
      if (cell != Cell::rnn) names.emplace_back("Sigmoid");
      names.emplace_back("Tanh");
      if (cell == Cell::lstm) names.emplace_back("Tanh");
    }
  }
  const size_t per_direction = cell == Cell::lstm ? 3 : cell == Cell::gru ? 2 : 1;
  if (names.size() != per_direction * static_cast<size_t>(directions)) {
    fail(ErrorCode::invalid_model, "{} activations for {} directions", names.size(), directions);
  }
  const std::vector<float> alphas = node.attributes.reals("activation_alpha");
  const std::vector<float> betas = node.attributes.reals("activation_beta");
  std::vector<Activation> activations;
  for (size_t i = 0; i < names.size(); ++i) {
    activations.push_back(find_activation(names[i]));
    if (i < alphas.size()) activations.back().alpha = alphas[i];
    if (i < betas.size()) activations.back().beta = betas[i];
  }
  return activations;
}

}  // namespace

RecurrentProblem recurrent_problem(const Node& node, RecurrentCell cell, const Shape& x,
                                   const Shape& w, const Shape& r) {
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) {
    fail(ErrorCode::invalid_model, "X {}, W {} and R {} must have 3 dimensions", x.to_string(),
         w.to_string(), r.to_string());
  }
  Problem p;
  p.cell = cell;
  p.batch_first = node.attributes.integer("layout", 0) != 0;
  p.steps = x[p.batch_first ? 1 : 0];
  p.batch = x[p.batch_first ? 0 : 1];
  p.inputs = x[2];
  p.hidden = node.attributes.integer("hidden_size", r[2]);
  const std::string direction = node.attributes.text("direction", "forward");
  p.directions = direction == "bidirectional" ? 2 : 1;
  p.backward_first = direction == "reverse";
  p.linear_before_reset = node.attributes.integer("linear_before_reset", 0) != 0;
  p.input_forget = node.attributes.integer("input_forget", 0) != 0;
  p.clip = node.attributes.real("clip", 0);
  p.activations = activations_of(node, cell, p.directions);
  const Shape want_w = {p.directions, gates_of(cell) * p.hidden, p.inputs};
  const Shape want_r = {p.directions, gates_of(cell) * p.hidden, p.hidden};
  for (int i = 0; i < 3; ++i) {
    const auto differ = [](int64_t a, int64_t b) { return a >= 0 && b >= 0 && a != b; };
    if (differ(w[i], want_w[i]) || differ(r[i], want_r[i])) {
      fail(ErrorCode::invalid_model, "W {} and R {} do not fit: {} and {} are expected",
           w.to_string(), r.to_string(), want_w.to_string(), want_r.to_string());
    }
  }
  return p;
}

namespace {

// ---- One direction

size_t floats(int64_t count) { return (static_cast<size_t>(count) + 15) / 16 * 16; }

// Buffers and strides of one direction, in the workspace.
struct Direction {
  EvalContext& context;
  const Problem& p;
  const RecurrentWeights& weights;
  int index = 0;
  const float* rb = nullptr;        // recurrence bias [gates * hidden], or nullptr
  const float* peephole = nullptr;  // [3 * hidden] i o f, or nullptr
  const Activation* activation = nullptr;
  float* projected = nullptr;  // [steps * batch, gates * hidden]: X W^T + Wb
  float *h = nullptr, *c = nullptr, *gates = nullptr, *reset = nullptr, *sums = nullptr;

  static size_t workspace_floats(const Problem& p) {
    return floats(p.steps * p.batch * p.width()) + 2 * floats(p.batch * p.hidden) +
           2 * floats(p.width()) + floats(p.hidden);
  }

  Direction(EvalContext& ctx, const Problem& problem, const RecurrentWeights& w, int d,
            float* workspace)
      : context(ctx), p(problem), weights(w), index(d) {
    const auto take = [&](int64_t count) {
      float* at = workspace;
      workspace += floats(count);
      return at;
    };
    projected = take(p.steps * p.batch * p.width());
    h = take(p.batch * p.hidden);
    c = take(p.batch * p.hidden);
    gates = take(p.width());
    sums = take(p.width());
    reset = take(p.hidden);
    std::fill_n(h, p.batch * p.hidden, 0.0F);
    std::fill_n(c, p.batch * p.hidden, 0.0F);
  }

  float clipped(float x) const { return p.clip > 0 ? std::clamp(x, -p.clip, p.clip) : x; }

  // gates[begin, end) += R[begin, end) state (+ Rb)
  void add_recurrence(int64_t begin, int64_t end, const float* state) {
    weights.recur(context, index, begin, end, state, sums);
    for (int64_t g = begin; g < end; ++g) {
      gates[g] += sums[g - begin] + (rb != nullptr ? rb[g] : 0);
    }
  }

  void step(int64_t row, int64_t item) {
    const int64_t width = gates_of(p.cell) * p.hidden;
    std::copy_n(projected + row * width, width, gates);
    float* state = h + item * p.hidden;
    switch (p.cell) {
      case Cell::lstm:
        return lstm(state, c + item * p.hidden);
      case Cell::gru:
        return gru(state);
      case Cell::rnn:
        add_recurrence(0, p.hidden, state);
        for (int64_t j = 0; j < p.hidden; ++j) {
          state[j] = activation[0](clipped(gates[j]));
        }
        return;
    }
  }

  void lstm(float* state, float* cell) {
    const int64_t n = p.hidden;
    add_recurrence(0, 4 * n, state);
    const float* gate = gates;
    for (int64_t j = 0; j < n; ++j) {
      float in = gate[j], out = gate[n + j], forget = gate[2 * n + j];
      if (peephole != nullptr) {
        in += peephole[j] * cell[j];
        forget += peephole[2 * n + j] * cell[j];
      }
      in = activation[0](clipped(in));
      forget = p.input_forget ? 1 - in : activation[0](clipped(forget));
      cell[j] = forget * cell[j] + in * activation[1](clipped(gate[3 * n + j]));
      if (peephole != nullptr) out += peephole[n + j] * cell[j];
      state[j] = activation[0](clipped(out)) * activation[2](cell[j]);
    }
  }

  void gru(float* state) {
    const int64_t n = p.hidden;
    add_recurrence(0, 2 * n, state);
    float* gate = gates;
    for (int64_t j = 0; j < 2 * n; ++j) gate[j] = activation[0](clipped(gate[j]));
    if (p.linear_before_reset) {  // h = g(X Wh + r * (H Rh + Rbh) + Wbh)
      std::copy_n(gate + 2 * n, n, reset);
      std::fill_n(gate + 2 * n, n, 0.0F);
      add_recurrence(2 * n, 3 * n, state);
      for (int64_t j = 0; j < n; ++j) {
        gate[2 * n + j] = reset[j] + gate[n + j] * gate[2 * n + j];
      }
    } else {  // h = g(X Wh + (r * H) Rh + Rbh + Wbh)
      for (int64_t j = 0; j < n; ++j) reset[j] = gate[n + j] * state[j];
      add_recurrence(2 * n, 3 * n, reset);
    }
    for (int64_t j = 0; j < n; ++j) {
      const float candidate = activation[1](clipped(gate[2 * n + j]));
      state[j] = (1 - gate[j]) * candidate + gate[j] * state[j];
    }
  }
};

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
    for (int64_t g = begin; g < end; ++g) {
      const float* row = r + g * p_.hidden;
      std::array<float, 8> sums{};  // independent sums: a chain of additions would be slow
      int64_t k = 0;
      for (; k + 8 <= p_.hidden; k += 8) {
        for (size_t lane = 0; lane < 8; ++lane) {
          const auto at = k + static_cast<int64_t>(lane);
          sums[lane] += row[at] * state[at];
        }
      }
      float sum =
          ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
      for (; k < p_.hidden; ++k) sum += row[k] * state[k];
      result[g - begin] = sum;
    }
  }

 private:
  const Problem& p_;
};

struct Outputs {
  float *y = nullptr, *h = nullptr, *c = nullptr;
};

void run_direction(Direction& direction, const Outputs& out, std::span<const int64_t> lengths) {
  EvalContext& context = direction.context;
  const Problem& p = direction.p;
  const int d = direction.index;
  const int64_t n = p.hidden, width = p.width();
  direction.activation =
      p.activations.data() +
      static_cast<size_t>(d) * (p.activations.size() / static_cast<size_t>(p.directions));
  if (context.has(3)) direction.rb = context.input(3).data<float>().data() + (2 * d + 1) * width;
  if (context.has(7)) direction.peephole = context.input(7).data<float>().data() + d * 3 * n;
  // States are [directions, batch, hidden], or [batch, directions, hidden] if batch comes first.
  const auto state_at = [&](int64_t b) {
    return (p.batch_first ? b * p.directions + d : d * p.batch + b) * n;
  };
  for (int64_t b = 0; b < p.batch; ++b) {
    float *h = direction.h + b * n, *c = direction.c + b * n;
    if (context.has(5)) std::copy_n(context.input(5).data<float>().data() + state_at(b), n, h);
    if (context.has(6)) std::copy_n(context.input(6).data<float>().data() + state_at(b), n, c);
    const bool backward = d == 1 || p.backward_first;
    const int64_t length = lengths.empty() ? p.steps : lengths[static_cast<size_t>(b)];
    for (int64_t s = 0; s < length; ++s) {
      const int64_t t = backward ? length - 1 - s : s;
      direction.step(p.batch_first ? b * p.steps + t : t * p.batch + b, b);
      if (out.y == nullptr) continue;
      // [steps, directions, batch, hidden], or [batch, steps, directions, hidden].
      const int64_t at = p.batch_first ? (b * p.steps + t) * p.directions + d
                                       : (t * p.directions + d) * p.batch + b;
      std::copy_n(h, n, out.y + at * n);
    }
    if (out.h != nullptr) std::copy_n(h, n, out.h + state_at(b));
    if (out.c != nullptr) std::copy_n(c, n, out.c + state_at(b));
  }
}

Shape sequence_shape(const Problem& p) {
  if (p.batch_first) return {p.batch, p.steps, p.directions, p.hidden};
  return {p.steps, p.directions, p.batch, p.hidden};
}

Shape state_shape(const Problem& p) {
  if (p.batch_first) return {p.batch, p.directions, p.hidden};
  return {p.directions, p.batch, p.hidden};
}

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

void require(const EvalContext& context, size_t i, const Shape& expected) {
  if (!context.has(i)) return;
  const Tensor& tensor = context.input(i);
  if (tensor.dtype() == DType::f32 && tensor.shape() == expected) return;
  fail(ErrorCode::invalid_model, "input {} is {}{}, expected f32{}", i, name_of(tensor.dtype()),
       tensor.shape().to_string(), expected.to_string());
}

void require_weights(const EvalContext& context, const Problem& p) {
  require(context, 1, {p.directions, p.width(), p.inputs});
  require(context, 2, {p.directions, p.width(), p.hidden});
}

// B, initial_h, initial_c and P.
void require_inputs(const EvalContext& context, const Problem& p) {
  require(context, 3, {p.directions, 2 * p.width()});
  require(context, 5, state_shape(p));
  require(context, 6, state_shape(p));
  require(context, 7, {p.directions, 3 * p.hidden});
}

std::vector<int64_t> lengths_of(const EvalContext& context, const Problem& p) {
  std::vector<int64_t> lengths;
  if (context.has(4)) lengths = to_int64s(context.input(4));
  if (context.has(4) && static_cast<int64_t>(lengths.size()) != p.batch) {
    fail(ErrorCode::invalid_data, "{} sequence_lens for a batch of {}", lengths.size(), p.batch);
  }
  for (int64_t length : lengths) {
    if (length < 0 || length > p.steps) {
      fail(ErrorCode::invalid_data, "sequence_lens do not fit {} steps and a batch of {}", p.steps,
           p.batch);
    }
  }
  return lengths;
}

}  // namespace

size_t recurrent_workspace(const RecurrentProblem& problem) {
  return sizeof(float) * Direction::workspace_floats(problem) *
         static_cast<size_t>(problem.directions);
}

void run_recurrent(EvalContext& context, const RecurrentProblem& problem,
                   const RecurrentWeights& weights, void* workspace) {
  require_inputs(context, problem);
  const std::vector<int64_t> lengths = lengths_of(context, problem);
  Outputs out;
  const auto give = [&](size_t i, const Shape& shape) -> float* {
    if (!context.wants(i)) return nullptr;
    const std::span<float> data = context.output(i, DType::f32, shape).data<float>();
    std::ranges::fill(data, 0.0F);  // steps past a sequence's end are 0
    return data.data();
  };
  out.y = give(0, sequence_shape(problem));
  out.h = give(1, state_shape(problem));
  out.c = give(2, state_shape(problem));
  const auto direction_at = [&](int d) {
    auto* memory = static_cast<float*>(workspace) +
                   static_cast<size_t>(d) * Direction::workspace_floats(problem);
    return Direction(context, problem, weights, d, memory);
  };
  for (int d = 0; d < problem.directions; ++d) {
    weights.project(context, d, direction_at(d).projected);
  }
  const auto steps = [&](int64_t d) {
    Direction direction = direction_at(static_cast<int>(d));
    run_direction(direction, out, lengths);
  };
  if (problem.directions == 1) return steps(0);
  context.pool.parallel_for(problem.directions, steps);
}

namespace {

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
