// What a model answers to the samples of a data set, one sample at a time.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch_reader.h"
#include "ranges/sample_runner.h"

namespace nibble {

/// Holds one batch at a time, so several models can be walked over side by side whatever batches
/// they take.
class OutputStream {
 public:
  /// `graph` and `data` must outlive it. Throws as SampleRunner does; Error{invalid_model} if the
  /// graph has no outputs, Error{invalid_data} if there are no samples.
  OutputStream(const Graph& graph, const Dataset& data, const SampleRunnerOptions& options);

  /// From now on the samples of this share, which begins with a batch, and where states are carried
  /// with a sequence.
  void go_to(const Share& samples);
  const SampleRunner& runner() const { return runner_; }
  /// Of the next sample, by output: what the model gives for a batch of that one alone, [1, ...]
  /// where the output has a batch. An output that cannot be told apart by samples is empty().
  /// Borrowed until the next call. Called at most data.size() times.
  std::span<const Tensor> next();

  const std::string& output_name(size_t output) const;
  /// States go from sample to sample.
  bool carries() const { return carries_; }
  /// See SampleRunner::notes.
  const std::vector<std::string>& notes() const { return runner_.notes(); }

 private:
  Tensor slice(const Tensor& result, size_t output) const;

  const Graph& graph_;
  const bool carries_;
  SampleRunner runner_;
  std::unique_ptr<BatchReader> reader_;
  std::optional<SampleBatch> batch_;
  std::vector<Tensor> results_;  // of the batch
  std::vector<Tensor> sample_;
  int64_t at_ = 0;  // within the batch
};

}  // namespace nibble
