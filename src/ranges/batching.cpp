#include "ranges/batching.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "nibble/runtime.h"

namespace nibble {
namespace {

// f32 sums may be taken in another order for another batch; mixed samples differ by far more.
constexpr float kTolerance = 1e-3F;

struct Run {
  std::vector<Tensor> outputs;
  std::map<ValueId, Shape> shapes;
};

// Compiled for one batch size.
class Runner {
 public:
  Runner(const Graph& graph, std::span<const Tensor> inputs, int threads)
      : program_(compile(graph, options_for(graph, inputs, threads))) {}

  Run run(std::span<const Tensor> inputs) {
    Run result;
    program_.observe([&](ValueId id, const Tensor& tensor) { result.shapes[id] = tensor.shape(); });
    for (const Tensor& output : program_.run(inputs)) {
      result.outputs.push_back(output.clone());
    }
    return result;
  }

 private:
  static CompileOptions options_for(const Graph& graph, std::span<const Tensor> inputs,
                                    int threads) {
    CompileOptions options{.arithmetic = Arithmetic::f32, .threads = threads, .optimize = false};
    for (size_t i = 0; i < inputs.size(); ++i) {
      options.input_shapes[graph.value(graph.inputs[i]).name] = inputs[i].shape();
    }
    return options;
  }
  Program program_;
};

// The axis along which `two` is twice as long as `one`, all others being the same; -1 if none is.
int doubled_axis(const Shape& one, const Shape& two) {
  if (one.rank() != two.rank()) return -1;
  int doubled = -1;
  for (int axis = 0; axis < one.rank(); ++axis) {
    if (one[axis] == two[axis]) continue;
    if (doubled >= 0 || two[axis] != 2 * one[axis]) return -1;
    doubled = axis;
  }
  return doubled;
}

float largest(std::span<const float> values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

bool is_near(float a, float b, float tolerance) {
  return a == b || std::abs(a - b) <= tolerance || (std::isnan(a) && std::isnan(b));
}

// The half of `both` along `axis` that belongs to sample k is `alone`.
bool holds(const Tensor& both, const Tensor& alone, int axis, size_t k) {
  const auto whole = static_cast<size_t>(alone.shape().elements(axis, alone.shape().rank()));
  const std::span<const float> a = both.data<float>(), b = alone.data<float>();
  const float tolerance = kTolerance * std::max(largest(a), largest(b));
  for (size_t i = 0; i < b.size(); ++i) {
    const size_t at = i / whole * 2 * whole + k * whole + i % whole;
    if (!is_near(a[at], b[i], tolerance)) return false;
  }
  return true;
}

bool is_same(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  if (a.dtype() != DType::f32) return true;
  return std::ranges::equal(a.data<float>(), b.data<float>(), [](float x, float y) {
    return is_near(x, y, kTolerance * std::max(std::abs(x), std::abs(y)));
  });
}

// Why an output for two samples is not what each gives; empty if it is.
std::string why_mixed(const std::string& name, const Tensor& both,
                      const std::array<const Tensor*, 2>& alone) {
  const int axis = doubled_axis(alone[0]->shape(), both.shape());
  if (axis < 0) {
    if (is_same(both, *alone[0]) && is_same(both, *alone[1])) return {};  // a constant
    return fmt::format("output '{}' is {} for one sample and {} for two", name,
                       alone[0]->shape().to_string(), both.shape().to_string());
  }
  if (both.dtype() != DType::f32) return {};
  for (size_t k = 0; k < 2; ++k) {
    if (holds(both, *alone[k], axis, k)) continue;
    return fmt::format("output '{}' of a sample changes with the other samples of its batch", name);
  }
  return {};
}

// Sample `k` of each input.
std::vector<Tensor> sample_of(std::span<const Tensor> inputs, size_t k) {
  std::vector<Tensor> sample;
  for (const Tensor& both : inputs) {
    Shape shape = both.shape();
    shape[0] = 1;
    Tensor one(both.dtype(), shape);
    std::memcpy(one.raw(), static_cast<const std::byte*>(both.raw()) + k * one.bytes(),
                one.bytes());
    sample.push_back(std::move(one));
  }
  return sample;
}

}  // namespace

BatchProbe probe_batch(const Graph& graph, std::span<const Tensor> inputs, int threads) {
  for (const Tensor& input : inputs) check(input.shape()[0] == 2, "two samples for each input");
  BatchProbe probe;
  std::array<Run, 2> alone;
  try {
    Runner single(graph, sample_of(inputs, 0), threads);
    for (size_t k = 0; k < 2; ++k) alone[k] = single.run(sample_of(inputs, k));
  } catch (const Error&) {
    return probe;
  }
  Run both;
  try {
    both = Runner(graph, inputs, threads).run(inputs);
  } catch (const Error& error) {
    return {.keeps_apart = false, .reason = fmt::format("it fails for two ({})", error.what())};
  }
  for (size_t i = 0; i < both.outputs.size() && probe.keeps_apart; ++i) {
    probe.reason = why_mixed(graph.value(graph.outputs[i]).name, both.outputs[i],
                             {&alone[0].outputs[i], &alone[1].outputs[i]});
    probe.keeps_apart = probe.reason.empty();
  }
  for (const auto& [id, shape] : both.shapes) {
    const auto one = alone[0].shapes.find(id);
    const int axis = one == alone[0].shapes.end() ? -1 : doubled_axis(one->second, shape);
    if (axis >= 0) probe.batch_axis[id] = axis;
  }
  return probe;
}

std::string note_of_single_samples(const BatchProbe& probe) {
  return fmt::format("The network works on one sample at a time, and is run so ({})", probe.reason);
}

}  // namespace nibble
