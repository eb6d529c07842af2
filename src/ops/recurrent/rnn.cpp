// LSTM, GRU and RNN as ONNX defines them. For each direction the inputs of all steps are projected
// at once (one matrix product); the steps then multiply only the state.
//
// Gate order: LSTM i o f c, GRU z r h, RNN a single one.
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

enum class Cell : uint8_t { lstm, gru, rnn };

constexpr int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

// ---- Activations

struct Activation {
  float (*function)(float x, float alpha, float beta) = nullptr;
  float alpha = 0, beta = 0;
  float operator()(float x) const { return function(x, alpha, beta); }
};

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

struct Problem {
  Cell cell = Cell::lstm;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0;
  int directions = 1;
  bool backward_first = false;  // direction = reverse
  bool batch_first = false;     // layout = 1
  bool linear_before_reset = false, input_forget = false;
  float clip = 0;                       // 0: none
  std::vector<Activation> activations;  // per direction: f (g (h))
};

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

Problem problem_of(const Node& node, Cell cell, const Shape& x, const Shape& w, const Shape& r) {
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

// ---- One direction

// Buffers and strides of one direction; nothing is allocated once they stand.
struct Direction {
  const Problem& p;
  const float* r = nullptr;         // [gates * hidden, hidden]
  const float* rb = nullptr;        // recurrence bias [gates * hidden], or nullptr
  const float* peephole = nullptr;  // [3 * hidden] i o f, or nullptr
  const Activation* activation = nullptr;
  const float* projected = nullptr;  // [steps * batch, gates * hidden]: X W^T + Wb
  std::vector<float> h, c, gates, reset;

  explicit Direction(const Problem& problem) : p(problem) {
    const auto states = static_cast<size_t>(p.batch * p.hidden);
    h.resize(states);
    c.resize(states);
    gates.resize(static_cast<size_t>(gates_of(p.cell) * p.hidden));
    reset.resize(static_cast<size_t>(p.hidden));
  }

  float clipped(float x) const { return p.clip > 0 ? std::clamp(x, -p.clip, p.clip) : x; }

  // gates[begin, end) += R[begin, end) state (+ Rb)
  void add_recurrence(int64_t begin, int64_t end, const float* state) {
    for (int64_t g = begin; g < end; ++g) {
      const float* row = r + g * p.hidden;
      std::array<float, 8> sums{};  // independent sums: a chain of additions would be slow
      int64_t k = 0;
      for (; k + 8 <= p.hidden; k += 8) {
        for (size_t lane = 0; lane < 8; ++lane) {
          const auto at = k + static_cast<int64_t>(lane);
          sums[lane] += row[at] * state[at];
        }
      }
      float sum =
          ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
      for (; k < p.hidden; ++k) sum += row[k] * state[k];
      gates[static_cast<size_t>(g)] += sum + (rb != nullptr ? rb[g] : 0);
    }
  }

  void step(int64_t row, int64_t item) {
    const int64_t width = gates_of(p.cell) * p.hidden;
    std::copy_n(projected + row * width, width, gates.begin());
    float* state = h.data() + item * p.hidden;
    switch (p.cell) {
      case Cell::lstm:
        return lstm(state, c.data() + item * p.hidden);
      case Cell::gru:
        return gru(state);
      case Cell::rnn:
        add_recurrence(0, p.hidden, state);
        for (int64_t j = 0; j < p.hidden; ++j) {
          state[j] = activation[0](clipped(gates[static_cast<size_t>(j)]));
        }
        return;
    }
  }

  void lstm(float* state, float* cell) {
    const int64_t n = p.hidden;
    add_recurrence(0, 4 * n, state);
    const float* gate = gates.data();
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
    float* gate = gates.data();
    for (int64_t j = 0; j < 2 * n; ++j) gate[j] = activation[0](clipped(gate[j]));
    if (p.linear_before_reset) {  // h = g(X Wh + r * (H Rh + Rbh) + Wbh)
      std::copy_n(gate + 2 * n, n, reset.begin());
      std::fill_n(gate + 2 * n, n, 0.0F);
      add_recurrence(2 * n, 3 * n, state);
      for (int64_t j = 0; j < n; ++j) {
        gate[2 * n + j] = reset[static_cast<size_t>(j)] + gate[n + j] * gate[2 * n + j];
      }
    } else {  // h = g(X Wh + (r * H) Rh + Rbh + Wbh)
      for (int64_t j = 0; j < n; ++j) reset[static_cast<size_t>(j)] = gate[n + j] * state[j];
      add_recurrence(2 * n, 3 * n, reset.data());
    }
    for (int64_t j = 0; j < n; ++j) {
      const float candidate = activation[1](clipped(gate[2 * n + j]));
      state[j] = (1 - gate[j]) * candidate + gate[j] * state[j];
    }
  }
};

// X W^T + Wb for all steps, in the order X is stored: [steps, batch] or [batch, steps].
Tensor project(EvalContext& context, const Problem& p, int direction) {
  const int64_t width = gates_of(p.cell) * p.hidden;
  const Shape x_shape = {p.steps * p.batch, p.inputs}, w_shape = {width, p.inputs};
  Node gemm;
  gemm.op = "Gemm";
  gemm.outputs = {{}};
  gemm.attributes.set("transB", int64_t{1});
  const bool bias = context.has(3);
  const Shape bias_shape = {width};
  MatmulProblem problem = gemm_problem(gemm, x_shape, w_shape, bias ? &bias_shape : nullptr);
  const auto part = [&](size_t input, int64_t elements, int64_t stride, const Shape& shape) {
    auto* all = static_cast<float*>(const_cast<void*>(context.input(input).raw()));
    check(elements <= stride, "a direction's share of its input");
    return Tensor::borrow(DType::f32, shape, all + direction * stride);
  };
  std::vector<Tensor> inputs = {context.input(0).reshaped(x_shape),
                                part(1, width * p.inputs, width * p.inputs, w_shape)};
  if (bias) inputs.push_back(part(3, width, 2 * width, bias_shape));
  std::vector<Tensor> outputs(1);
  EvalContext inner(gemm, context.opset, inputs, outputs, context.pool);
  require_op(gemm, context.opset).eval.function(inner);
  return outputs[0];
}

struct Outputs {
  float *y = nullptr, *h = nullptr, *c = nullptr;
};

void run_direction(EvalContext& context, const Problem& p, int d, const Outputs& out,
                   std::span<const int64_t> lengths) {
  const int64_t n = p.hidden, width = gates_of(p.cell) * n;
  const Tensor projected = project(context, p, d);
  Direction direction(p);
  direction.projected = static_cast<const float*>(projected.raw());
  direction.r = context.input(2).data<float>().data() + d * width * n;
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
    float *h = direction.h.data() + b * n, *c = direction.c.data() + b * n;
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
  const Problem p = problem_of(types.node, cell, types.shape(0), types.shape(1), types.shape(2));
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

// B, initial_h, initial_c and P; W and R stand in the problem.
void require_inputs(const EvalContext& context, const Problem& p) {
  const int64_t width = gates_of(p.cell) * p.hidden;
  require(context, 1, {p.directions, width, p.inputs});
  require(context, 2, {p.directions, width, p.hidden});
  require(context, 3, {p.directions, 2 * width});
  require(context, 5, state_shape(p));
  require(context, 6, state_shape(p));
  require(context, 7, {p.directions, 3 * p.hidden});
}

template <Cell cell>
void eval(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (is_half(dtype)) return eval_as_f32(context, eval<cell>);
  if (dtype != DType::f32) {
    fail(ErrorCode::unsupported, "no recurrent network of {}", name_of(dtype));
  }
  const Problem p = problem_of(context.node, cell, context.input(0).shape(),
                               context.input(1).shape(), context.input(2).shape());
  require_inputs(context, p);
  std::vector<int64_t> lengths;
  if (context.has(4)) lengths = to_int64s(context.input(4));
  if (context.has(4) && static_cast<int64_t>(lengths.size()) != p.batch) {
    fail(ErrorCode::invalid_data, "{} sequence_lens for a batch of {}", lengths.size(), p.batch);
  }
  for (int64_t length : lengths) {
    if (length < 0 || length > p.steps || static_cast<int64_t>(lengths.size()) != p.batch) {
      fail(ErrorCode::invalid_data, "sequence_lens do not fit {} steps and a batch of {}", p.steps,
           p.batch);
    }
  }
  Outputs out;
  const auto give = [&](size_t i, const Shape& shape) -> float* {
    if (!context.wants(i)) return nullptr;
    const std::span<float> data = context.output(i, DType::f32, shape).data<float>();
    std::ranges::fill(data, 0.0F);  // steps past a sequence's end are 0
    return data.data();
  };
  out.y = give(0, sequence_shape(p));
  out.h = give(1, state_shape(p));
  out.c = give(2, state_shape(p));
  context.pool.parallel_for(p.directions, [&](int64_t d) {
    run_direction(context, p, static_cast<int>(d), out, lengths);
  });
}

template <Cell cell>
constexpr OpRow row(std::string_view name, int max_inputs, int max_outputs) {
  return {.name = name,
          .min_inputs = 3,
          .max_inputs = max_inputs,
          .max_outputs = max_outputs,
          .infer = infer<cell>,
          .eval = eval<cell>,
          .kernels = "the input projection is cached by shape; the steps need no preparation",
          .why_float = "states are kept in float: an error would grow with every step",
          .tolerance = 1e-4};
}

constexpr std::array kRows = {
    row<Cell::gru>("GRU", 6, 2),
    row<Cell::lstm>("LSTM", 8, 3),
    row<Cell::rnn>("RNN", 6, 2),
};

}  // namespace

std::span<const OpRow> rnn_ops() { return kRows; }

}  // namespace nibble
