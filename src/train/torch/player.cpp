// A network at work on the batches of a data set.
#include <algorithm>

#include "base/check.h"
#include "train/torch/trainer.h"

namespace nibble {
namespace {

size_t index_of(const Graph& graph, const std::vector<ValueId>& list, const std::string& name) {
  const auto found =
      std::ranges::find_if(list, [&](ValueId id) { return graph.value(id).name == name; });
  check(found != list.end(), "two networks with the same inputs and outputs");
  return static_cast<size_t>(found - list.begin());
}

}  // namespace

Player::Player(Network& network, const Graph& graph, const Feed& feed, std::vector<ValueId> wanted)
    : network_(network), wanted_(std::move(wanted)), asked_(wanted_.size()) {
  const Graph& mine = network.graph();
  for (const ValueId input : mine.inputs) {
    order_.push_back(index_of(graph, graph.inputs, mine.value(input).name));
  }
  for (const InputBinding& input : feed.binding.inputs) {
    if (input.carried_from < 0) continue;
    const ValueId from = graph.outputs[static_cast<size_t>(input.carried_from)];
    const size_t output = index_of(mine, mine.outputs, graph.value(from).name);
    states_.push_back({.input = index_of(mine, mine.inputs, input.name), .output = wanted_.size()});
    wanted_.push_back(mine.outputs[output]);
  }
}

std::vector<torch::Tensor> Player::run(const Batch& batch, const Network::Mode& mode) {
  std::vector<torch::Tensor> inputs;
  for (const size_t from : order_) inputs.push_back(batch.inputs[from]);
  for (const State& state : states_) {
    if (state.last.defined() && !batch.starts_sequence) inputs[state.input] = state.last;
  }
  std::vector<torch::Tensor> outputs = network_.forward(inputs, wanted_, mode);
  for (State& state : states_) state.last = outputs[state.output];
  outputs.resize(asked_);
  return outputs;
}

void Player::detach() {
  for (State& state : states_) state.last = state.last.detach();
}

std::vector<torch::Tensor> Player::states() const {
  std::vector<torch::Tensor> states;
  for (const State& state : states_) {
    if (state.last.defined()) states.push_back(state.last);
  }
  return states;
}

void Player::set_states(const std::vector<torch::Tensor>& states) {
  check(states.size() == states_.size(), "states of another network");
  for (size_t i = 0; i < states.size(); ++i) states_[i].last = states[i];
}

}  // namespace nibble
