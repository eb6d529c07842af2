// Chapter 6, what breaks and the remedies: the ladder from naive rounding to Nibble's defaults at 3
// bits, with paired tests, and the worst layers.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>

#include <cstdio>

int main() try {
  const nibble::Graph graph = nibble::prepare_for_quantization(nibble::load_onnx("float.onnx"));
  const auto calibration = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const auto test = nibble::open_dataset("digits", {.split = nibble::Split::test});
  const nibble::RangeReport ranges = nibble::analyze(graph, *calibration);
  const nibble::Evaluation reference = nibble::evaluate(graph, *test);
  const nibble::BitPlan three{.fallback = {.weight_bits = 3, .activation_bits = 3}};

  nibble::QuantizeOptions options{.weight_observer = "min-max",
                                  .activation_observer = "min-max",
                                  .first_and_last_8bit = false,
                                  .bias_correction = false};
  const auto show = [&](const char* step) {
    const nibble::Graph small = nibble::quantize(graph, ranges, three, options);
    const nibble::Evaluation result = nibble::evaluate(small, *test);
    const nibble::PairedTest paired = nibble::compare_paired(reference, result);
    std::printf("%-32s %5.1f %%, difference %+5.1f points, p = %.2g\n", step,
                100 * result.accuracy(), 100 * paired.difference, paired.p_value);
    return small;
  };
  show("min-max, nothing else");
  options.weight_observer = options.activation_observer = "mse";
  show("+ least squared error");
  options.bias_correction = true;
  show("+ corrected bias");
  options.first_and_last_8bit = true;
  const nibble::Graph best = show("+ first and last layer 8 bits");

  const auto layers = nibble::compare_layers(graph, best, *test, 64);
  std::printf("\nworst layers:\n");
  for (size_t i = 0; i < layers.size() && i < 3; ++i) {
    std::printf("  %-12s SQNR %.1f dB\n", layers[i].value.c_str(), layers[i].sqnr_db);
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter06_ptq: %s\n", error.what());
  return 1;
}
