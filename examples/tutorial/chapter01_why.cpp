// Chapter 1, why fewer bits: one dense layer of 1024 x 1024 in float and in 8 bits, timed side by
// side.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/graph.h>
#include <nibble/quantize.h>

#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

namespace {

using namespace nibble;

constexpr int64_t kWidth = 1024;

// y = x * W: the graph is built by hand, value by value.
Graph dense_layer() {
  Graph graph;
  const TensorType real{.dtype = DType::f32, .shape = {Shape::kUnknown, kWidth}};
  const ValueId x = graph.add_value("x", real);
  std::vector<float> numbers(kWidth * kWidth);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = std::sin(static_cast<float>(i)) / 32;
  const ValueId weight =
      graph.add_constant("W", Tensor::of<float>({kWidth, kWidth}, std::span<const float>(numbers)));
  const ValueId y = graph.add_value("y", real);
  graph.add_node({.op = "MatMul", .name = "dense", .inputs = {x, weight}, .outputs = {y}});
  graph.inputs = {x};
  graph.outputs = {y};
  return graph;
}

}  // namespace

int main() try {
  const Graph real = dense_layer();
  // Weights alone need no data; for activations of 8 bits without data, ranges are found at run
  // time.
  const Graph small = quantize(real, {}, {}, {.dynamic = true});
  const double products = static_cast<double>(kWidth) * kWidth;
  for (const int64_t batch : {1, 32}) {
    const auto measured = bench({real, small}, {.batch = batch, .seconds = 0.2});
    for (size_t i = 0; i < measured.size(); ++i) {
      const Latency& latency = measured[i][0];
      std::printf("%s, %2lld samples at a time: median %7.1f us, %6.1f GMAC/s\n",
                  i == 0 ? "float" : "int8 ", static_cast<long long>(batch), 1e6 * latency.median_s,
                  products * static_cast<double>(batch) / latency.median_s / 1e9);
    }
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter01_why: %s\n", error.what());
  return 1;
}
