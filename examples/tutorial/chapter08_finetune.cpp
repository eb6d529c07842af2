// Chapter 8, fine-tuning: trains on from the 2-bit file of chapter 7, without the float network.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/onnx.h>
#include <nibble/train.h>

#include <cstdio>

int main() try {
  const nibble::Graph rounded = nibble::load_onnx("ptq-w2a2.onnx");
  const auto training = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const auto validation = nibble::open_dataset("digits", {.split = nibble::Split::validation});
  const auto test = nibble::open_dataset("digits", {.split = nibble::Split::test});

  nibble::TrainOptions options = nibble::finetune_defaults();
  options.epochs = 6;
  options.learning_rate = 0.02;  // with 2 bits a weight has far to go to the next code
  options.threads = 1;
  const nibble::TrainResult result =
      nibble::train_quantized(rounded, /*float_graph=*/nullptr, *training, *validation, options);
  nibble::save_onnx(result.graph, "qaft-w2a2.onnx");

  const nibble::Evaluation before = nibble::evaluate(rounded, *test);
  const nibble::Evaluation after = nibble::evaluate(result.graph, *test);
  const nibble::PairedTest paired = nibble::compare_paired(before, after);
  std::printf("test: %.1f %% rounded, %.1f %% fine-tuned; %+.1f points [%+.1f, %+.1f], p = %.2g\n",
              100 * before.accuracy(), 100 * after.accuracy(), 100 * paired.difference,
              100 * paired.interval.low, 100 * paired.interval.high, paired.p_value);
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter08_finetune: %s\n", error.what());
  return 1;
}
