// LSTM, GRU and RNN as ONNX defines them, step by step.
#include <array>

#include "base/check.h"
#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;

Tensor activate(const std::string& name, const Tensor& x) {
  if (name == "Sigmoid") return torch::sigmoid(x);
  if (name == "Tanh") return torch::tanh(x);
  if (name == "Relu") return torch::relu(x);
  fail(ErrorCode::unsupported, "training has no recurrent layer with the activation {}", name);
}

/// One direction of a layer for known shapes; gates lie along the last axis.
struct Direction {
  Tensor w, r;                     // [gates * hidden, inputs] and [gates * hidden, hidden]
  Tensor wb, rb;                   // biases, undefined without
  Tensor peepholes;                // [3 * hidden] of an LSTM, undefined without
  std::vector<std::string> names;  // of the activations
  double clip = 0;
  int64_t hidden = 0;
  bool linear_before_reset = false;

  Tensor clipped(const Tensor& x) const { return clip > 0 ? x.clamp(-clip, clip) : x; }
  Tensor f(const Tensor& x) const { return activate(names[0], clipped(x)); }
  Tensor g(const Tensor& x) const { return activate(names[1], clipped(x)); }
  Tensor h(const Tensor& x) const { return activate(names[2], x); }
  Tensor gate(const Tensor& all, int64_t k) const { return all.narrow(-1, k * hidden, hidden); }
  static Tensor plus(const Tensor& x, const Tensor& bias) { return bias.defined() ? x + bias : x; }
};

/// The state of a layer: h, and c of an LSTM.
struct State {
  Tensor h, c;
};

// Gates i, o, f, c; peepholes i, o, f.
State lstm_step(const Direction& d, const Tensor& x, const State& at) {
  const Tensor all = x + Direction::plus(at.h.matmul(d.r.t()), d.rb);
  const auto peep = [&](int64_t k, const Tensor& c) {
    return d.peepholes.defined() ? d.gate(all, k) + d.gate(d.peepholes, k) * c : d.gate(all, k);
  };
  const Tensor input = d.f(peep(0, at.c)), forget = d.f(peep(2, at.c));
  const Tensor c = forget * at.c + input * d.g(d.gate(all, 3));
  return {d.f(peep(1, c)) * d.h(c), c};
}

// Gates z, r, h.
State gru_step(const Direction& d, const Tensor& x, const State& at) {
  const Tensor recurrent = at.h.matmul(d.r.narrow(0, 0, 2 * d.hidden).t());
  const Tensor zr = Direction::plus(x.narrow(-1, 0, 2 * d.hidden) + recurrent,
                                    d.rb.defined() ? d.rb.narrow(0, 0, 2 * d.hidden) : d.rb);
  const Tensor z = d.f(d.gate(zr, 0)), r = d.f(d.gate(zr, 1));
  const Tensor rows = d.r.narrow(0, 2 * d.hidden, d.hidden).t();
  const Tensor bias = d.rb.defined() ? d.gate(d.rb, 2) : d.rb;
  const Tensor past = d.linear_before_reset ? r * Direction::plus(at.h.matmul(rows), bias)
                                            : Direction::plus((r * at.h).matmul(rows), bias);
  const Tensor candidate = d.g(d.gate(x, 2) + past);
  return {(1 - z) * candidate + z * at.h, {}};
}

State rnn_step(const Direction& d, const Tensor& x, const State& at) {
  return {d.f(x + Direction::plus(at.h.matmul(d.r.t()), d.rb)), {}};
}

struct Cell {
  int64_t gates;
  size_t activations;  // of a direction
  std::array<const char*, 3> usual;
  State (*step)(const Direction&, const Tensor& x, const State&);
};
constexpr Cell kLstm = {4, 3, {"Sigmoid", "Tanh", "Tanh"}, lstm_step};
constexpr Cell kGru = {3, 2, {"Sigmoid", "Tanh", ""}, gru_step};
constexpr Cell kRnn = {1, 1, {"Tanh", "", ""}, rnn_step};

Direction direction_of(const Call& call, const Cell& cell, int64_t k) {
  const Attributes& attributes = call.node.attributes;
  if (attributes.integer("input_forget", 0) != 0) {
    fail(ErrorCode::unsupported, "training has no LSTM with coupled gates (input_forget)");
  }
  if (attributes.has("activation_alpha") || attributes.has("activation_beta")) {
    fail(ErrorCode::unsupported,
         "training has no recurrent layer with activation_alpha or activation_beta");
  }
  Direction d{.w = call.in(1)[k], .r = call.in(2)[k]};
  d.hidden = d.r.size(1);
  d.clip = attributes.real("clip", 0);
  d.linear_before_reset = attributes.integer("linear_before_reset", 0) != 0;
  if (call.has(3)) {
    const auto halves = call.in(3)[k].chunk(2);
    d.wb = halves[0];
    d.rb = halves[1];
  }
  if (cell.gates == 4 && call.has(7)) d.peepholes = call.in(7)[k];
  const Attribute* given = attributes.find("activations");
  const auto* found = given != nullptr ? std::get_if<std::vector<std::string>>(given) : nullptr;
  const std::vector<std::string> names = found != nullptr ? *found : std::vector<std::string>();
  for (size_t i = 0; i < cell.activations; ++i) {
    const size_t at = static_cast<size_t>(k) * cell.activations + i;
    d.names.push_back(at < names.size() ? names[at] : cell.usual[i]);
  }
  return d;
}

void require_whole_sequences(const Call& call, int64_t steps) {
  for (const int64_t length : call.integers(4)) {
    if (length != steps) {
      fail(ErrorCode::unsupported,
           "training has no recurrent layer over sequences of different lengths (sequence_lens)");
    }
  }
}

// X [steps, batch, inputs], or with layout 1 [batch, steps, inputs].
template <const Cell& cell>
Outputs recurrent(const Call& call) {
  const bool batch_first = call.node.attributes.integer("layout", 0) != 0;
  const Tensor x = batch_first ? call.in(0).transpose(0, 1) : call.in(0);
  const int64_t steps = x.size(0), directions = call.in(1).size(0);
  require_whole_sequences(call, steps);
  const bool reverse = call.node.attributes.text("direction", "forward") == "reverse";
  std::vector<Tensor> y(static_cast<size_t>(steps)), last_h, last_c;
  std::vector<std::vector<Tensor>> by_step(static_cast<size_t>(steps));
  for (int64_t k = 0; k < directions; ++k) {
    const Direction d = direction_of(call, cell, k);
    const auto start = [&](size_t input) {
      if (!call.has(input)) return torch::zeros({x.size(1), d.hidden}, x.options());
      return batch_first ? call.in(input).select(1, k) : call.in(input)[k];
    };
    State state{start(5), cell.gates == 4 ? start(6) : Tensor()};
    const Tensor projected = Direction::plus(x.matmul(d.w.t()), d.wb);
    const bool backward = reverse || k == 1;
    std::vector<Tensor> results(static_cast<size_t>(steps));
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t t = backward ? steps - 1 - i : i;
      state = cell.step(d, projected[t], state);
      results[static_cast<size_t>(t)] = state.h;
    }
    for (size_t t = 0; t < results.size(); ++t) by_step[t].push_back(results[t]);
    last_h.push_back(state.h);
    last_c.push_back(state.c);
  }
  for (size_t t = 0; t < y.size(); ++t) y[t] = torch::stack(by_step[t]);
  // Y [steps, directions, batch, hidden]; with layout 1 [batch, steps, directions, hidden].
  const Tensor all = torch::stack(y);
  const auto state = [&](const std::vector<Tensor>& last) {
    return torch::stack(last, batch_first ? 1 : 0);
  };
  Outputs outputs = {batch_first ? all.permute({2, 0, 1, 3}) : all, state(last_h)};
  if (cell.gates == 4) outputs.push_back(state(last_c));
  return outputs;
}

constexpr std::array kRows = {
    TorchOpRow{"GRU", recurrent<kGru>},
    TorchOpRow{"LSTM", recurrent<kLstm>},
    TorchOpRow{"RNN", recurrent<kRnn>},
};

}  // namespace

std::span<const TorchOpRow> torch_recurrent_ops() { return kRows; }

}  // namespace nibble
