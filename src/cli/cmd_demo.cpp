// nibble demo: the whole path on the embedded handwritten digits. Everything it reports is measured
// on the files it writes.
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "base/check.h"
#include "cli/quantize_arguments.h"
#include "cli/train_arguments.h"
#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "report/format.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string folder = "nibble-demo";
  CommonOptions common;
};

// One row of the table.
struct Entry {
  std::string label;
  std::string bits;
  std::string file;
  uint64_t bytes = 0;
  Evaluation evaluation;
  Latency latency;
};

class Demo {
 public:
  explicit Demo(const Arguments& arguments) : arguments_(arguments) {}

  void run();

 private:
  void say(const std::string& line);
  Graph train_float();
  Quantized quantize_to(LayerBits bits, std::optional<double> average_bits = {});
  Graph train_on(const Graph& quantized, const Graph* float_graph, TrainOptions defaults,
                 std::string_view label);
  void add(const std::string& label, const std::string& bits, const std::string& stem,
           const Graph& graph);
  void measure();
  void print_table() const;

  const Arguments& arguments_;
  SampleSource data_{.spec = "digits"};
  ProgressBar progress_;
  std::vector<Entry> entries_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

void Demo::say(const std::string& line) {
  progress_.clear();
  if (arguments_.common.json) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  tell("[{:5.1f} s] {}\n", seconds, line);
  std::fflush(stdout);
}

Graph Demo::train_float() {
  const TrainingData data = open_training_data(data_, nullptr, arguments_.common.seed);
  say(fmt::format("Training digits-cnn in float on {} digits (validation: {}).",
                  data.training->size(), data.validation->size()));
  progress_.set_prefix("float");
  const auto usual = [](TrainOptions options) { return options; };
  return train_architecture("digits-cnn", data_, usual, arguments_.common.settings(&progress_))
      .graph;
}

Quantized Demo::quantize_to(LayerBits bits, std::optional<double> average_bits) {
  const Graph model = load_onnx(entries_.front().file);
  QuantizeSettings settings;
  settings.plan.fallback = bits;
  settings.budget.average_weight_bits = average_bits;
  progress_.set_prefix(average_bits
                           ? fmt::format("W8/4A{}", bits.activation_bits)
                           : fmt::format("W{}A{}", bits.weight_bits, bits.activation_bits));
  return quantize_model(model, data_, settings, arguments_.common.settings(&progress_));
}

Graph Demo::train_on(const Graph& quantized, const Graph* float_graph, TrainOptions defaults,
                     std::string_view label) {
  const TrainingData data = open_training_data(data_, &quantized, arguments_.common.seed);
  progress_.set_prefix(std::string(label));
  defaults.seed = arguments_.common.seed;
  defaults.threads = arguments_.common.threads;
  defaults.progress = &progress_;
  return train_quantized(quantized, float_graph, *data.training, *data.validation, defaults).graph;
}

void Demo::add(const std::string& label, const std::string& bits, const std::string& stem,
               const Graph& graph) {
  Entry entry{
      .label = label, .bits = bits, .file = fmt::format("{}/{}.onnx", arguments_.folder, stem)};
  entry.bytes = save_model(graph, entry.file);
  const Graph loaded = load_onnx(entry.file);
  const std::shared_ptr<const Dataset> test =
      data_.open(Split::test, &loaded, arguments_.common.seed);
  entry.evaluation = evaluate(loaded, *test, {.threads = arguments_.common.threads});
  say(fmt::format("  {}: {}", entry.file, format_accuracy(entry.evaluation)));
  entries_.push_back(std::move(entry));
}

void Demo::measure() {
  say("Measuring latency: one digit at a time, one thread, models in turns.");
  std::vector<Graph> graphs;
  for (const Entry& entry : entries_) graphs.push_back(load_onnx(entry.file));
  progress_.set_prefix("latency");
  const auto latencies = bench(graphs, {.threads = {1}, .seconds = 0.5, .progress = &progress_});
  for (size_t i = 0; i < entries_.size(); ++i) entries_[i].latency = latencies[i].front();
}

void Demo::print_table() const {
  if (arguments_.common.json) {
    Json rows = Json::array();
    for (const Entry& entry : entries_) {
      const PairedTest test = compare_paired(entries_.front().evaluation, entry.evaluation);
      rows.push_back(
          {{"method", entry.label},
           {"bits", entry.bits},
           {"file", entry.file},
           {"file_bytes", entry.bytes},
           {"accuracy", entry.evaluation.accuracy()},
           {"samples", entry.evaluation.samples},
           {"interval_95", {entry.evaluation.interval.low, entry.evaluation.interval.high}},
           {"difference", test.difference},
           {"difference_interval_95", {test.interval.low, test.interval.high}},
           {"p_value", test.p_value},
           {"median_s", entry.latency.median_s}});
    }
    print_json({{"seed", arguments_.common.seed}, {"rows", std::move(rows)}});
    return;
  }
  Table table({{"network"},
               {"bits"},
               {"file", Align::right},
               {"accuracy [95 %]", Align::right},
               {"difference to float", Align::right},
               {"latency", Align::right}});
  for (const Entry& entry : entries_) {
    const bool first = &entry == &entries_.front();
    table.add_row(
        {entry.label, entry.bits, format_bytes(entry.bytes), format_accuracy(entry.evaluation),
         first ? ""
               : format_difference(compare_paired(entries_.front().evaluation, entry.evaluation)),
         format_duration(entry.latency.median_s)});
  }
  tell(
      "\n{}\nbits: W weights, A activations; the first and the last layer keep 8 bits. Accuracy: "
      "{} test digits that no "
      "step has seen,\nrun with integer kernels. The difference is paired, in points, with "
      "McNemar's exact test.\n"
      "Try: nibble compare {} {} --data digits\n",
      table.to_string(), entries_.front().evaluation.samples, entries_[0].file, entries_[2].file);
}

void Demo::run() {
  make_folder(arguments_.folder);
  add("float", "W32 A32", "float", train_float());

  say("Range analysis, then post-training quantization (PTQ).");
  const Quantized ptq8 = quantize_to({8, 8});
  add("PTQ", "W8 A8", "ptq-w8a8", ptq8.graph);
  const Quantized ptq4 = quantize_to({4, 4});
  add("PTQ", "W4 A4", "ptq-w4a4", ptq4.graph);
  say("Choosing 8 or 4 bits per layer for an average of 5 bits per weight.");
  const Quantized mixed = quantize_to({8, 8}, 5.0);
  add("PTQ, chosen bits", "W8/4 A8", "ptq-mixed", mixed.graph);

  say("Quantization-aware fine-tuning (QAFT) of the W4 A4 network.");
  add("QAFT", "W4 A4", "qaft-w4a4",
      train_on(load_onnx(entries_[2].file), nullptr, finetune_defaults(), "QAFT W4A4"));
  say("Quantization-aware training (QAT) at 4 and at 2 bits.");
  add("QAT", "W4 A4", "qat-w4a4",
      train_on(ptq4.graph, &ptq4.float_graph, qat_defaults(4, 4), "QAT W4A4"));
  const Quantized start2 = quantize_to({2, 2});
  add("QAT", "W2 A2", "qat-w2a2",
      train_on(start2.graph, &start2.float_graph, qat_defaults(2, 2), "QAT W2A2"));

  measure();
  progress_.clear();
  print_table();
}

}  // namespace

std::function<int()> declare_demo(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("-o,--output", arguments->folder,
                 "Folder for the models; default " + arguments->folder);
  arguments->common.declare(app);
  return [arguments] {
    Demo(*arguments).run();
    return 0;
  };
}

}  // namespace nibble::cli
