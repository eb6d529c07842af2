// Runs variants of a network on the same samples and compares their outputs with the first one's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/runtime.h"

namespace nibble {

class SampleRunner;

class OutputProbe {
 public:
  /// Looks at the first `samples` of `data`, which must outlive this.
  OutputProbe(const Graph& reference, const Dataset& data, int64_t samples, int threads);

  /// In dB, of all outputs in f32 together. Constants that are quantized are read as reals;
  /// activations are rounded if `arithmetic` says so.
  double sqnr_of(const Graph& graph, Arithmetic arithmetic = Arithmetic::f32) const;

 private:
  // Calls body(i, values) for the i-th f32 output of all runs.
  template <typename Body>
  void run(SampleRunner& runner, const Body& body) const;

  const Dataset& data_;
  int64_t samples_ = 0;
  int threads_ = 0;
  int64_t batch_ = 1;  // as the reference takes them
  double signal_ = 0;
  std::vector<std::vector<float>> reference_;
};

}  // namespace nibble
