#include "ranges/sample_runner.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ranges/batching.h"

namespace nibble {

SampleRunner::SampleRunner(const Graph& graph, const Dataset& data,
                           const SampleRunnerOptions& options)
    : graph_(graph),
      data_(data),
      options_(options),
      binding_(bind_samples(graph, data)),
      notes_(binding_.notes),
      states_(binding_.inputs.size()) {
  batch_ = std::clamp<int64_t>(options.batch, 1, std::max<int64_t>(data.size(), 1));
  if (binding_.single) batch_ = 1;
  if (binding_.fixed_batch > 0) batch_ = binding_.fixed_batch;
  if (batch_ > 1 && !is_fixed() && options.probe) probe();
}

// That an input's first dimension is open does not say that the network keeps samples apart.
void SampleRunner::probe() {
  const std::array<int64_t, 2> indices = {0, data_.size() / 2};
  const SampleBatch two{.samples = read_batch(data_, indices, options_.threads), .count = 2};
  BatchProbe probe = probe_batch(graph_, inputs_of(two), options_.threads);
  batch_axis_ = std::move(probe.batch_axis);
  if (probe.keeps_apart) return;
  batch_ = 1;
  notes_.push_back(note_of_single_samples(probe));
}

Share SampleRunner::share(const Ranks* ranks, int64_t unit) const {
  const int64_t size = data_.size(), units = (size + unit - 1) / unit;
  const auto cut = [&](int64_t at) {
    int64_t sample = std::min(at * unit, size);
    while (binding_.carries() && sample > 0 && sample < size && !data_.starts_sequence(sample)) {
      sample = std::min(sample + unit, size);
    }
    return sample;
  };
  const Share mine = share_of(ranks, units);
  return {cut(mine.begin), cut(mine.end)};
}

std::unique_ptr<BatchReader> SampleRunner::reader(const Share& samples) const {
  return std::make_unique<BatchReader>(
      data_, samples,
      BatchReaderOptions{.batch = batch_, .threads = options_.threads, .pad = is_fixed()});
}

void SampleRunner::observe(Program::Observer observer, Program::BodyObserver body_observer) {
  observer_ = std::move(observer);
  body_observer_ = std::move(body_observer);
  for (auto& [size, program] : programs_) {
    program.observe(observer_);
    program.observe_bodies(body_observer_);
  }
}

std::vector<Tensor> SampleRunner::inputs_of(const SampleBatch& batch) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < binding_.inputs.size(); ++i) {
    const InputBinding& input = binding_.inputs[i];
    if (input.carried_from < 0) {
      inputs.push_back(input.from_batch(batch.samples[static_cast<size_t>(input.field)]));
      continue;
    }
    if (states_[i].empty() || data_.starts_sequence(batch.begin)) {
      states_[i] = input.first_state(batch.samples);
    }
    inputs.push_back(states_[i]);
  }
  return inputs;
}

Program& SampleRunner::program_for(const std::vector<Tensor>& inputs) {
  const bool open = binding_.ragged || binding_.carries();
  const int64_t key =
      open || inputs.empty() || inputs[0].shape().rank() == 0 ? 0 : inputs[0].shape()[0];
  const auto at = programs_.find(key);
  if (at != programs_.end()) return at->second;
  CompileOptions options{.arithmetic = options_.arithmetic,
                         .threads = options_.threads,
                         .optimize = options_.optimize};
  for (size_t i = 0; i < inputs.size(); ++i) {
    // Shapes that change from run to run stay open.
    const bool changes = binding_.ragged || binding_.inputs[i].carried_from >= 0;
    if (!changes) options.input_shapes[binding_.inputs[i].name] = inputs[i].shape();
  }
  Program& program = programs_.emplace(key, compile(graph_, options)).first->second;
  if (observer_) program.observe(observer_);
  if (body_observer_) program.observe_bodies(body_observer_);
  return program;
}

std::span<const Tensor> SampleRunner::run(const SampleBatch& batch) {
  const std::vector<Tensor> inputs = inputs_of(batch);
  const std::span<const Tensor> results = program_for(inputs).run(inputs);
  for (size_t i = 0; i < binding_.inputs.size(); ++i) {
    const int output = binding_.inputs[i].carried_from;
    if (output >= 0) states_[i] = results[static_cast<size_t>(output)].clone();
  }
  return results;
}

std::unique_ptr<Dataset> draw_samples(const Graph& graph, std::shared_ptr<const Dataset> data,
                                      int64_t count, uint64_t seed) {
  if (!bind_samples(graph, *data).carries()) return random_subset(std::move(data), count, seed);
  const int64_t first = count > 0 ? std::min(count, data->size()) : data->size();
  return slice(std::move(data), 0, first);
}

}  // namespace nibble
