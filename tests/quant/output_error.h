// How far the outputs of two graphs are from each other.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "nibble/data.h"
#include "nibble/runtime.h"
#include "ranges/grid.h"
#include "support/synthetic_data.h"

namespace nibble::testing {

/// Data times a factor.
class Scaled : public Synthetic {
 public:
  Scaled(Synthetic data, double by) : Synthetic(std::move(data)), by_(by) {}
  void read(int64_t index, std::span<float> out) const override {
    Synthetic::read(index, out);
    for (float& x : out) x = static_cast<float>(x * by_);
  }

 private:
  double by_;
};

/// The first output for all samples at once.
inline std::vector<float> outputs(const Graph& graph, const Dataset& data) {
  const std::string input = graph.value(graph.inputs[0]).name;
  const Tensor batch = read_batch(data, 0, data.size(), 1)[0];
  Program program = compile(
      graph, {.arithmetic = Arithmetic::fake_quantize, .input_shapes = {{input, batch.shape()}}});
  const std::span<const float> result = program.run(std::span(&batch, 1))[0].data<float>();
  return {result.begin(), result.end()};
}

inline double output_sqnr(const Graph& reference, const Graph& graph, const Dataset& data) {
  const std::vector<float> a = outputs(reference, data), b = outputs(graph, data);
  double signal = 0, noise = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    signal += static_cast<double>(a[i]) * a[i];
    noise += std::pow(static_cast<double>(a[i]) - b[i], 2);
  }
  return sqnr_db(signal, noise);
}

}  // namespace nibble::testing
