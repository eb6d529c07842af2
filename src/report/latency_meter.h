// The latency of networks on this machine, as the choice of bit-widths needs it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "nibble/progress.h"
#include "nibble/quantize.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Compiles networks and runs them on random inputs, at a batch of 1 where it is open, as
/// nibble::profile() does: medians over runs in turns, as many as take about a second each.
class RuntimeMeter : public LatencyMeter {
 public:
  /// `shapes`: of inputs that leave sizes open besides the batch.
  RuntimeMeter(int threads, uint64_t seed, std::map<std::string, Shape> shapes,
               ProgressSink* progress)
      : threads_(threads), seed_(seed), shapes_(std::move(shapes)), progress_(progress) {}

  /// Throws Error{invalid_argument} for an input whose shape is not known.
  std::vector<TimedNetwork> time(std::span<const Graph> graphs) override;
  std::string conditions() const override;

 private:
  int threads_;
  uint64_t seed_;
  std::map<std::string, Shape> shapes_;
  int64_t batch_ = 1;
  ProgressSink* progress_;
};

}  // namespace nibble
#pragma GCC visibility pop
