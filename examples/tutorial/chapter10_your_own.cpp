// Chapter 10, your own model and data: chapter10_your_own MODEL.onnx DATA OUT.onnx
// Quantizes to 8 bits, says what stays in float and why, and judges the result by every metric that
// fits the data (accuracy where there are labels, else how near the outputs are).
#include <nibble/data.h>
#include <nibble/error.h>
#include <nibble/measure.h>
#include <nibble/onnx.h>
#include <nibble/quantize.h>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: chapter10_your_own MODEL.onnx DATA OUT.onnx\n");
    return 2;
  }
  const nibble::Graph graph = nibble::load_onnx(argv[1]);
  nibble::DataOptions options{.split = nibble::Split::train,
                              .preprocess = nibble::stored_preprocess(graph)};
  nibble::describe_model(graph, options);
  const auto training = nibble::open_dataset(argv[2], options);
  options.split = nibble::Split::test;
  const auto test = nibble::open_dataset(argv[2], options);

  nibble::QuantizeReport report;
  const nibble::Graph small =
      nibble::quantize(graph, nibble::analyze(graph, *training), {}, {}, &report);
  nibble::save_onnx(small, argv[3]);
  for (const auto& skipped : report.why_not) {
    std::printf("%s stays in float: %s\n", skipped.node.c_str(), skipped.reason.c_str());
  }
  const std::vector<nibble::MeasuredModel> models = {
      {.name = argv[1], .graph = &graph, .data = test.get()},
      {.name = argv[3], .graph = &small, .data = test.get()}};
  for (const nibble::MetricReport& metric : nibble::measure(models)) {
    const nibble::Measurement& one = metric.models.back();
    std::printf("%s: %.4g [%.4g, %.4g] on %lld samples\n", metric.metric.c_str(), one.value,
                one.interval.low, one.interval.high, static_cast<long long>(one.samples));
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter10_your_own: %s\n", error.what());
  return 1;
}
