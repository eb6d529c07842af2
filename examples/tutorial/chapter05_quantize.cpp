// Chapter 5, quantizing: float.onnx to 8 and to 4 bits; what the types of the values say.
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/evaluate.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>

#include <cstdio>
#include <filesystem>

int main() try {
  const nibble::Graph graph = nibble::load_onnx("float.onnx");
  const auto calibration = nibble::open_dataset("digits", {.split = nibble::Split::train});
  const auto test = nibble::open_dataset("digits", {.split = nibble::Split::test});
  const nibble::RangeReport ranges = nibble::analyze(graph, *calibration);

  struct Wanted {
    int bits;
    const char* file;
  };
  for (const auto& [bits, file] : {Wanted{8, "w8a8.onnx"}, Wanted{4, "w4a4.onnx"}}) {
    const nibble::BitPlan plan{.fallback = {.weight_bits = bits, .activation_bits = bits}};
    const nibble::Graph small = nibble::quantize(graph, ranges, plan);
    nibble::save_onnx(small, file);
    // Quantization is part of a value's type: the same real tensor, represented by integers.
    for (const char* name : {"fc1.weight", "fc1.relu"}) {
      const auto id = small.find_value(name);
      if (!id) return 1;
      std::printf("%-10s %s\n", name, nibble::to_string(small.value(*id).type).c_str());
    }
    const nibble::Evaluation result = nibble::evaluate(nibble::load_onnx(file), *test);
    std::printf("%s: %ju bytes, %.1f %% [%.1f, %.1f] of %lld test samples\n\n", file,
                std::filesystem::file_size(file), 100 * result.accuracy(),
                100 * result.interval.low, 100 * result.interval.high,
                static_cast<long long>(result.samples));
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter05_quantize: %s\n", error.what());
  return 1;
}
