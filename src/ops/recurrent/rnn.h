// LSTM, GRU and RNN: what is computed, apart from how the weights lie in memory.
#pragma once

#include <memory>
#include <vector>

#include "ops/op.h"

namespace nibble {

enum class RecurrentCell : uint8_t { lstm, gru, rnn };

constexpr int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
}

/// One of the activations of a gate, or of a state.
struct RecurrentActivation {
  void (*function)(float* x, int64_t count, float alpha, float beta) = nullptr;
  float alpha = 0, beta = 0;
  void operator()(float* x, int64_t count) const { function(x, count, alpha, beta); }
};

/// A layer for known shapes.
struct RecurrentProblem {
  RecurrentCell cell = RecurrentCell::lstm;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0;
  int directions = 1;
  bool backward_first = false;  // direction = reverse
  bool batch_first = false;     // layout = 1
  bool linear_before_reset = false, input_forget = false;
  float clip = 0;                                // 0: none
  std::vector<RecurrentActivation> activations;  // per direction: f (g (h))

  int64_t width() const { return gates_of(cell) * hidden; }
};

/// Throws Error{invalid_model} if X, W and R do not fit together.
RecurrentProblem recurrent_problem(const Node& node, RecurrentCell cell, const Shape& x,
                                   const Shape& w, const Shape& r);

/// Of the results: Y, and Y_h and Y_c.
Shape sequence_shape(const RecurrentProblem& p);
Shape state_shape(const RecurrentProblem& p);
/// Throws Error{invalid_model} if input `i` is there and is not f32 of that shape.
void require_input(const EvalContext& context, size_t i, const Shape& expected);

/// The two products of a layer, by weights in any form.
class RecurrentWeights {
 public:
  virtual ~RecurrentWeights() = default;
  /// out = X W^T + Wb, [steps * batch, width] in the order of X.
  virtual void project(EvalContext& context, int direction, float* out) const = 0;
  /// sums[g] = R[g] . state for the rows [begin, end) of R; `sums` begins with row `begin`.
  virtual void recur(EvalContext& context, int direction, int64_t begin, int64_t end,
                     const float* state, float* sums) const = 0;
};

/// Bytes that run_recurrent() needs.
size_t recurrent_workspace(const RecurrentProblem& problem);
/// Computes the node from its inputs besides W and R. `workspace` is 64-byte aligned.
void run_recurrent(EvalContext& context, const RecurrentProblem& problem,
                   const RecurrentWeights& weights, void* workspace);

/// Both weights packed: 8 bits and fewer, per tensor, per gate row, or in blocks along the sum. Its
/// products are in integers (kernels/packed_int16.h): of the inputs, and of the state at each step.
template <RecurrentCell cell>
std::unique_ptr<Kernel> packed_recurrent(const KernelSpec& spec);
extern template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::lstm>(const KernelSpec&);
extern template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::gru>(const KernelSpec&);
extern template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::rnn>(const KernelSpec&);

}  // namespace nibble
