// Chapter 7, quantization-aware training: 2 bits, trained from float.onnx with the straight-through
// estimator and learned steps.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>
#include <nibble/train.h>

#include <cstdio>

int main() try {
  // Training folds batch normalizations, and so does quantize(): both start from this graph.
  const nibble::Graph graph = nibble::prepare_for_quantization(nibble::load_onnx("float.onnx"));
  const auto training = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const auto validation = nibble::open_dataset("digits", {.split = nibble::Split::validation});
  const auto test = nibble::open_dataset("digits", {.split = nibble::Split::test});

  const nibble::BitPlan two{.fallback = {.weight_bits = 2, .activation_bits = 2}};
  const nibble::Graph rounded = nibble::quantize(graph, nibble::analyze(graph, *training), two);
  nibble::save_onnx(rounded, "ptq-w2a2.onnx");

  nibble::TrainOptions options = nibble::qat_defaults(2, 2);
  options.epochs = 6;
  options.threads = 1;
  const nibble::TrainResult result =
      nibble::train_quantized(rounded, &graph, *training, *validation, options);
  for (const nibble::Epoch& epoch : result.epochs) {
    std::printf("training loss %.3f, validation accuracy %.1f %%\n", epoch.train_loss,
                100 * epoch.validation_accuracy);
  }
  nibble::save_onnx(result.graph, "qat-w2a2.onnx");

  const nibble::Evaluation before = nibble::evaluate(rounded, *test);
  const nibble::Evaluation after = nibble::evaluate(result.graph, *test);
  const nibble::PairedTest paired = nibble::compare_paired(before, after);
  std::printf("test: %.1f %% rounded, %.1f %% trained; %+.1f points [%+.1f, %+.1f], p = %.2g\n",
              100 * before.accuracy(), 100 * after.accuracy(), 100 * paired.difference,
              100 * paired.interval.low, 100 * paired.interval.high, paired.p_value);
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter07_qat: %s\n", error.what());
  return 1;
}
