// What a recurrent layer is to compute: its attributes, read and checked.
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/check.h"
#include "kernels/vector_math.h"
#include "ops/recurrent/rnn.h"

namespace nibble {
namespace {

using Cell = RecurrentCell;
using Activation = RecurrentActivation;
using Problem = RecurrentProblem;

struct ActivationRow {
  std::string_view name;
  void (*function)(float*, int64_t, float, float);
  float alpha = 0, beta = 0;  // defaults
};

// `f` of each number: a loop that compilers vectorize where `f` has no branch and calls nothing.
template <auto f>
void each(float* x, int64_t count, float alpha, float beta) {
  for (int64_t i = 0; i < count; ++i) x[i] = f(x[i], alpha, beta);
}

float relu(float x, float, float) { return std::max(x, 0.0F); }
float tanh(float x, float, float) { return tanh_f32(x); }
float sigmoid(float x, float, float) { return sigmoid_f32(x); }
float affine(float x, float a, float b) { return a * x + b; }
float leaky_relu(float x, float a, float) { return x < 0 ? a * x : x; }
float thresholded_relu(float x, float a, float) { return x > a ? x : 0; }
float scaled_tanh(float x, float a, float b) { return a * tanh_f32(b * x); }
float hard_sigmoid(float x, float a, float b) { return std::clamp(a * x + b, 0.0F, 1.0F); }
float elu(float x, float a, float) { return x < 0 ? a * std::expm1(x) : x; }
float softsign(float x, float, float) { return x / (1 + std::abs(x)); }
float softplus(float x, float, float) { return std::log1p(std::exp(x)); }

constexpr std::array kActivations = {ActivationRow{"relu", each<relu>},
                                     ActivationRow{"tanh", each<tanh>},
                                     ActivationRow{"sigmoid", each<sigmoid>},
                                     ActivationRow{"affine", each<affine>, 1},
                                     ActivationRow{"leakyrelu", each<leaky_relu>, 0.01F},
                                     ActivationRow{"thresholdedrelu", each<thresholded_relu>, 1},
                                     ActivationRow{"scaledtanh", each<scaled_tanh>, 1, 1},
                                     ActivationRow{"hardsigmoid", each<hard_sigmoid>, 0.2F, 0.5F},
                                     ActivationRow{"elu", each<elu>, 1},
                                     ActivationRow{"softsign", each<softsign>},
                                     ActivationRow{"softplus", each<softplus>}};

Activation find_activation(std::string name) {
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const ActivationRow& row : kActivations) {
    if (row.name == name) return {row.function, row.alpha, row.beta};
  }
  fail(ErrorCode::unsupported, "the activation '{}' is not known", name);
}

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

Shape sequence_shape(const RecurrentProblem& p) {
  if (p.batch_first) return {p.batch, p.steps, p.directions, p.hidden};
  return {p.steps, p.directions, p.batch, p.hidden};
}

Shape state_shape(const RecurrentProblem& p) {
  if (p.batch_first) return {p.batch, p.directions, p.hidden};
  return {p.directions, p.batch, p.hidden};
}

}  // namespace nibble
