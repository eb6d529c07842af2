// Chapter 4, choosing the bit-width: what each layer's weights cost the output, and the best 8 or 4
// bits per layer for several budgets.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>

#include <cstdio>

int main() try {
  const nibble::Graph graph = nibble::load_onnx("float.onnx");
  const auto data = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const nibble::RangeReport ranges = nibble::analyze(graph, *data);
  nibble::ChooseOptions options;
  options.quantize.first_and_last_8bit = false;  // let it choose for all layers

  bool first = true;
  double last = 0;
  for (const double average : {4.5, 5.0, 6.0, 8.0}) {
    const nibble::BitChoice choice =
        nibble::choose_bits(graph, ranges, *data, {.average_weight_bits = average}, options);
    if (first) {
      for (const nibble::Sensitivity& one : choice.sensitivities) {
        std::printf("%-12s alone at %d bits: output SQNR %5.1f dB\n", one.node.c_str(), one.bits,
                    one.sqnr_db);
      }
      first = false;
    }
    std::printf("at most %.1f bits on average:", average);
    for (const auto& [node, bits] : choice.plan.layers) {
      std::printf(" %s %d", node.c_str(), bits.weight_bits);
    }
    std::printf(" (average %.2f)\n", choice.average_weight_bits);
    if (choice.average_weight_bits > average || choice.average_weight_bits < last) return 1;
    last = choice.average_weight_bits;
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter04_bits: %s\n", error.what());
  return 1;
}
