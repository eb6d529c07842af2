// The steps of a recurrent layer, whatever form its weights have. For each direction the inputs of
// all steps are projected at once (one matrix product); the steps then multiply only the state.
//
// Gate order: LSTM i o f c, GRU z r h, RNN a single one.
#include <algorithm>

#include "base/check.h"
#include "ops/recurrent/rnn.h"
#include "ops/support/axes.h"

namespace nibble {
namespace {

using Cell = RecurrentCell;
using Activation = RecurrentActivation;
using Problem = RecurrentProblem;

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

  // The activation of `count` neighbouring numbers, after the clip.
  void activate(const Activation& function, float* x, int64_t count) const {
    for (int64_t i = 0; p.clip > 0 && i < count; ++i) x[i] = std::clamp(x[i], -p.clip, p.clip);
    function(x, count);
  }

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
        activate(activation[0], gates, p.hidden);
        std::copy_n(gates, p.hidden, state);
        return;
    }
  }

  void lstm(float* state, float* cell) {
    const int64_t n = p.hidden;
    add_recurrence(0, 4 * n, state);
    float *in = gates, *out = gates + n, *forget = gates + 2 * n, *candidate = gates + 3 * n;
    for (int64_t j = 0; peephole != nullptr && j < n; ++j) {
      in[j] += peephole[j] * cell[j];
      forget[j] += peephole[2 * n + j] * cell[j];
    }
    activate(activation[0], in, n);
    if (p.input_forget) {
      for (int64_t j = 0; j < n; ++j) forget[j] = 1 - in[j];
    } else {
      activate(activation[0], forget, n);
    }
    activate(activation[1], candidate, n);
    for (int64_t j = 0; j < n; ++j) cell[j] = forget[j] * cell[j] + in[j] * candidate[j];
    for (int64_t j = 0; peephole != nullptr && j < n; ++j) out[j] += peephole[n + j] * cell[j];
    activate(activation[0], out, n);
    std::copy_n(cell, n, state);
    activation[2](state, n);
    for (int64_t j = 0; j < n; ++j) state[j] *= out[j];
  }

  void gru(float* state) {
    const int64_t n = p.hidden;
    add_recurrence(0, 2 * n, state);
    float *update = gates, *keep = gates + n, *candidate = gates + 2 * n;
    activate(activation[0], gates, 2 * n);
    if (p.linear_before_reset) {  // h = g(X Wh + r * (H Rh + Rbh) + Wbh)
      std::copy_n(candidate, n, reset);
      std::fill_n(candidate, n, 0.0F);
      add_recurrence(2 * n, 3 * n, state);
      for (int64_t j = 0; j < n; ++j) candidate[j] = reset[j] + keep[j] * candidate[j];
    } else {  // h = g(X Wh + (r * H) Rh + Rbh + Wbh)
      for (int64_t j = 0; j < n; ++j) reset[j] = keep[j] * state[j];
      add_recurrence(2 * n, 3 * n, reset);
    }
    activate(activation[1], candidate, n);
    for (int64_t j = 0; j < n; ++j) {
      state[j] = (1 - update[j]) * candidate[j] + update[j] * state[j];
    }
  }
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

// B, initial_h, initial_c and P.
void require_inputs(const EvalContext& context, const Problem& p) {
  require_input(context, 3, {p.directions, 2 * p.width()});
  require_input(context, 5, state_shape(p));
  require_input(context, 6, state_shape(p));
  require_input(context, 7, {p.directions, 3 * p.hidden});
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

void require_input(const EvalContext& context, size_t i, const Shape& expected) {
  if (!context.has(i)) return;
  const Tensor& tensor = context.input(i);
  if (tensor.dtype() == DType::f32 && tensor.shape() == expected) return;
  fail(ErrorCode::invalid_model, "input {} is {}{}, expected f32{}", i, name_of(tensor.dtype()),
       tensor.shape().to_string(), expected.to_string());
}

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

}  // namespace nibble
