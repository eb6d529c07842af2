// Runs a graph on the samples of a data set: binds them to its inputs, finds how many it can take
// at a time, carries its states. Whatever looks at data (analyze, choose, eval, compare, roundings)
// runs graphs through this.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/batch_reader.h"
#include "nibble/runtime.h"
#include "ranges/binding.h"

#pragma GCC visibility push(default)
namespace nibble {

struct SampleRunnerOptions {
  int64_t batch = 32;  // samples at a time, at most
  Arithmetic arithmetic = Arithmetic::integer;
  bool optimize = true;  // CompileOptions::optimize
  int threads = 0;
  /// Off: another graph of the same network has told that it keeps `batch` samples apart.
  bool probe = true;
};

class SampleRunner {
 public:
  /// `graph` and `data` must outlive it. Throws as bind_samples() does.
  SampleRunner(const Graph& graph, const Dataset& data, const SampleRunnerOptions& options);

  /// How many samples the graph gets at a time: the wanted number, or the graph's own if that is
  /// fixed, or 1 for a network that would mix the samples of a batch.
  int64_t batch() const { return batch_; }
  /// The graph takes batch() samples and no fewer.
  bool is_fixed() const { return binding_.fixed_batch > 0; }
  /// What the user should know of this, as sentences without their ends.
  const std::vector<std::string>& notes() const { return notes_; }
  /// The axis of each value along which samples lie, as far as it was looked for (BatchProbe).
  const std::map<ValueId, int>& batch_axis() const { return batch_axis_; }

  /// Of the first `count` samples, in the batches that run() takes: the last one shorter, or filled
  /// up with its last sample where the graph takes no fewer.
  std::unique_ptr<BatchReader> reader(int64_t count) const { return reader(Share{0, count}); }
  /// Of a share that begins with a batch.
  std::unique_ptr<BatchReader> reader(const Share& samples) const;
  /// The samples that this rank looks at: whole batches, or whole sequences where states are
  /// carried, so that it computes what one rank would. `ranks` may be null: all. `unit`: a multiple
  /// of batch(), to be cut at.
  Share share(const Ranks* ranks, int64_t unit) const;
  Share share(const Ranks* ranks) const { return share(ranks, batch_); }

  /// See Program::observe and Program::observe_bodies.
  void observe(Program::Observer observer, Program::BodyObserver body_observer = {});
  /// One batch of the reader, in its order if states are carried. The results borrow the program's
  /// memory until the next run.
  std::span<const Tensor> run(const SampleBatch& batch);

 private:
  Program& program_for(const std::vector<Tensor>& inputs);
  std::vector<Tensor> inputs_of(const SampleBatch& batch);
  void probe();

  const Graph& graph_;
  const Dataset& data_;
  SampleRunnerOptions options_;
  Binding binding_;
  int64_t batch_ = 1;
  std::vector<std::string> notes_;
  std::map<ValueId, int> batch_axis_;
  Program::Observer observer_;
  Program::BodyObserver body_observer_;
  std::map<int64_t, Program> programs_;  // by the number of samples; one for all sizes if ragged
  std::vector<Tensor> states_;           // by input; empty for those that are none
};

/// Calls visit(batch) for each batch. One that had to be filled up would count its last sample
/// twice; it is all there is, or is left out.
template <typename Visit>
void for_each_full_batch(const SampleRunner& runner, const Share& samples, const Visit& visit) {
  for (const auto reader = runner.reader(samples); const auto batch = reader->next();) {
    if (batch->padding == 0 || batch->begin == 0) visit(*batch);
  }
}
template <typename Visit>
void for_each_full_batch(const SampleRunner& runner, const Dataset& data, const Visit& visit) {
  for_each_full_batch(runner, Share{0, data.size()}, visit);
}

/// The samples to look at for calibration: a seeded random draw of `count` (all, if that is <= 0 or
/// too many), or the first so many where the graph carries states through a sequence.
std::unique_ptr<Dataset> draw_samples(const Graph& graph, std::shared_ptr<const Dataset> data,
                                      int64_t count, uint64_t seed);

}  // namespace nibble
#pragma GCC visibility pop
