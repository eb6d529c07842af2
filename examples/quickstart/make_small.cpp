// make_small IN.onnx OUT.onnx: quantizes a network that takes handwritten digits to 8 bits,
// calibrated on the data set that is built in. Without IN.onnx it starts from a network that was
// never trained.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>
#include <nibble/train.h>

#include <cstdio>
#include <filesystem>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_small IN.onnx OUT.onnx\n");
    return 2;
  }
  if (!std::filesystem::exists(argv[1])) {
    nibble::save_onnx(nibble::build_architecture("digits-cnn", {1, 8, 8}, 10, /*seed=*/1), argv[1]);
  }
  const nibble::Graph graph = nibble::load_onnx(argv[1]);
  const auto calibration = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const nibble::RangeReport ranges = nibble::analyze(graph, *calibration);
  const nibble::Graph small = nibble::quantize(graph, ranges, /*plan=*/{});
  nibble::save_onnx(small, argv[2]);

  const auto test = nibble::open_dataset("digits", {.split = nibble::Split::test});
  const nibble::Evaluation before = nibble::evaluate(graph, *test);
  const nibble::Evaluation after = nibble::evaluate(small, *test);
  int64_t same = 0;
  for (size_t i = 0; i < before.predicted.size(); ++i) {
    same += before.predicted[i] == after.predicted[i] ? 1 : 0;
  }
  std::printf("%s: %.1f %% of the test samples get the same class as before\n", argv[2],
              100.0 * static_cast<double>(same) / static_cast<double>(after.samples));
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "make_small: %s\n", error.what());
  return 1;
}
