// Chapter 3, dynamic range analysis: trains a network on the digits, writes float.onnx, and prints
// the range of every tensor.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/onnx.h>
#include <nibble/ranges.h>
#include <nibble/train.h>

#include <cstdio>

int main() try {
  const auto training = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const auto validation = nibble::open_dataset("digits", {.split = nibble::Split::validation});
  const nibble::Graph fresh = nibble::build_architecture("digits-cnn", {1, 8, 8}, 10, /*seed=*/0);
  const nibble::TrainResult result =
      nibble::train(fresh, *training, *validation, {.epochs = 8, .threads = 1});
  nibble::save_onnx(result.graph, "float.onnx");
  const nibble::Epoch& best = result.epochs[static_cast<size_t>(result.best_epoch)];
  std::printf("float.onnx: %.1f %% of %lld validation samples\n\n", 100 * best.validation_accuracy,
              static_cast<long long>(best.validation_samples));

  const nibble::RangeReport ranges = nibble::analyze(result.graph, *training);
  std::printf("%s", nibble::to_table(ranges).c_str());
  const nibble::TensorRange* tail = ranges.find("block3.relu");
  if (tail == nullptr) return 1;
  std::printf("\nblock3.relu: 99.99 %% of the values lie below %.2f, the largest is %.2f\n",
              tail->histogram.quantile(0.9999), static_cast<double>(tail->total.maximum));
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter03_ranges: %s\n", error.what());
  return 1;
}
