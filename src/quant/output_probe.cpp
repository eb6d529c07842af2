#include "quant/output_probe.h"

#include <algorithm>

#include "ranges/grid.h"
#include "ranges/sample_runner.h"

namespace nibble {

template <typename Body>
void OutputProbe::run(SampleRunner& runner, const Body& body) const {
  size_t i = 0;
  for (const auto reader = runner.reader(samples_); const auto batch = reader->next();) {
    for (const Tensor& output : runner.run(*batch)) {
      if (output.dtype() == DType::f32) body(i++, output.data<float>());
    }
  }
}

OutputProbe::OutputProbe(const Graph& reference, const Dataset& data, int64_t samples, int threads)
    : data_(data), samples_(std::min(samples, data.size())), threads_(threads) {
  SampleRunner runner(reference, data_,
                      {.batch = std::min<int64_t>(samples_, 32),
                       .arithmetic = Arithmetic::f32,
                       .threads = threads});
  batch_ = runner.batch();
  run(runner, [&](size_t, std::span<const float> values) {
    reference_.emplace_back(values.begin(), values.end());
    for (const float value : values) signal_ += static_cast<double>(value) * value;
  });
}

double OutputProbe::sqnr_of(const Graph& graph, Arithmetic arithmetic) const {
  SampleRunner runner(
      graph, data_,
      {.batch = batch_, .arithmetic = arithmetic, .threads = threads_, .probe = false});
  double noise = 0;
  run(runner, [&](size_t i, std::span<const float> values) {
    for (size_t k = 0; k < values.size(); ++k) {
      const double difference = static_cast<double>(values[k]) - reference_[i][k];
      noise += difference * difference;
    }
  });
  return sqnr_db(signal_, noise);
}

}  // namespace nibble
