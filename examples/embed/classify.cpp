// classify MODEL.onnx: runs a classifier on zeros from C++ and prints its five best classes.
#include <nibble/error.h>
#include <nibble/onnx.h>
#include <nibble/runtime.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

int main(int argc, char** argv) try {
  if (argc != 2) return std::fprintf(stderr, "usage: classify MODEL.onnx\n"), 2;
  nibble::Program program = nibble::compile(nibble::load_onnx(argv[1]), {.threads = 1});

  nibble::TensorType type = program.input_types()[0];
  for (int axis = 0; axis < type.shape.rank(); ++axis)
    type.shape[axis] = std::max<int64_t>(type.shape[axis], 1);
  const nibble::Tensor input(type.dtype, type.shape);  // zeros; input.data<float>() to fill in
  const std::span<const float> scores = program.run({input})[0].data<float>();

  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return scores[i]; });
  for (size_t i = 0; i < std::min<size_t>(5, order.size()); ++i) {
    std::printf("class %zu: %g\n", order[i], static_cast<double>(scores[order[i]]));
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "classify: %s\n", error.what());
  return 1;
}
