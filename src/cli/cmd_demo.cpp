// nibble demo: the whole path on the embedded handwritten digits. Everything it reports is measured
// on the files it writes, and is on a page beside them.
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "base/check.h"
#include "cli/quantize_arguments.h"
#include "cli/report_steps.h"
#include "cli/train_arguments.h"
#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "ranges/sample_runner.h"
#include "report/format.h"
#include "report/table.h"
#include "verbs/json.h"

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
  explicit Demo(const Arguments& arguments) : arguments_(arguments) {
    data_.opened = [](Split split, const Dataset& data) {
      run_record().note_data("digits", split, data);
    };
  }

  void run();

 private:
  void say(const std::string& line);
  TrainResult train_float();
  Quantized quantize_to(LayerBits bits, std::optional<double> average_bits = {});
  TrainResult train_on(const Graph& quantized, const Graph* float_graph, TrainOptions defaults,
                       std::string_view label);
  void add(const std::string& label, const std::string& bits, const std::string& stem,
           const Graph& graph);
  /// For the report: how the last entry was made.
  void record_quantization(const Quantized& result);
  void record_training(const std::string& verb, const TrainResult& result, const Json& from);
  void measure();
  void record_ranges();
  void write_page();
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

TrainResult Demo::train_float() {
  const TrainingData data = open_training_data(data_, nullptr, arguments_.common.seed);
  say(fmt::format("Training digits-cnn in float on {} digits (validation: {}).",
                  data.training->size(), data.validation->size()));
  progress_.set_prefix("float");
  const auto usual = [](TrainOptions options) { return options; };
  return train_architecture("digits-cnn", data_, usual, arguments_.common.settings(&progress_));
}

Quantized Demo::quantize_to(LayerBits bits, std::optional<double> average_bits) {
  const Graph model = load_model(entries_.front().file);
  QuantizeSettings settings;
  settings.plan.fallback = bits;
  settings.budget.average_weight_bits = average_bits;
  progress_.set_prefix(average_bits
                           ? fmt::format("W8/4A{}", bits.activation_bits)
                           : fmt::format("W{}A{}", bits.weight_bits, bits.activation_bits));
  return quantize_model(model, data_, settings, arguments_.common.settings(&progress_));
}

TrainResult Demo::train_on(const Graph& quantized, const Graph* float_graph, TrainOptions defaults,
                           std::string_view label) {
  const TrainingData data = open_training_data(data_, &quantized, arguments_.common.seed);
  progress_.set_prefix(std::string(label));
  defaults.seed = arguments_.common.seed;
  defaults.threads = arguments_.common.threads;
  defaults.progress = &progress_;
  return train_quantized(quantized, float_graph, *data.training, *data.validation, defaults);
}

void Demo::add(const std::string& label, const std::string& bits, const std::string& stem,
               const Graph& graph) {
  Entry entry{
      .label = label, .bits = bits, .file = fmt::format("{}/{}.onnx", arguments_.folder, stem)};
  entry.bytes = save_model(graph, entry.file);
  const Graph loaded = load_model(entry.file);
  const std::shared_ptr<const Dataset> test =
      data_.open(Split::test, &loaded, arguments_.common.seed);
  entry.evaluation = evaluate(loaded, *test, {.threads = arguments_.common.threads});
  say(fmt::format("  {}: {}", entry.file, format_accuracy(entry.evaluation)));
  entries_.push_back(std::move(entry));
}

void Demo::record_quantization(const Quantized& result) {
  Json json = {{"model", entries_.front().file},
               {"output", entries_.back().file},
               {"bytes_before", entries_.front().bytes},
               {"bytes_after", entries_.back().bytes}};
  json.update(to_json(result));
  run_record().add("quantize", json, arguments_.common);
  run_record().begin_step();
}

void Demo::record_training(const std::string& verb, const TrainResult& result, const Json& from) {
  const Entry& made = entries_.back();
  run_record().add(verb, training_json({result}, made.file, made.bytes, from), arguments_.common);
  run_record().begin_step();
}

// Those of the float network, as quantization sees them.
void Demo::record_ranges() {
  const Graph graph = prepare_for_quantization(load_model(entries_.front().file));
  const RangeReport ranges = analyze_model(graph, data_, QuantizeSettings{}.calibration,
                                           arguments_.common.settings(&progress_));
  run_record().add("analyze", ranges_json(ranges, graph), arguments_.common);
  run_record().begin_step();
}

void Demo::write_page() {
  record_ranges();
  Judgement judgement;
  std::vector<std::string> names;
  std::vector<BenchRow> rows;
  for (const Entry& entry : entries_) {
    const Graph graph = load_model(entry.file);
    data_.open(Split::test, &graph, arguments_.common.seed);
    judgement.accuracies.push_back(entry.evaluation);
    names.push_back(entry.file);
    rows.push_back({entry.file, entry.bytes, std::nullopt, {entry.latency}});
  }
  Json accuracies = {{"split", "test"}};
  accuracies.update(to_json(judgement, names));
  run_record().add("eval", accuracies, arguments_.common);
  run_record().add("bench", bench_json(rows), arguments_.common);
  constexpr int64_t kSamples = 64;
  for (size_t i = 1; i < entries_.size(); ++i) {
    run_record().begin_step();
    const auto subject = [](const std::string& name) {
      return Subject{.name = name, .graph = load_model(name), .data = nullptr};
    };
    const Comparison comparison = compare_models(subject(names[0]), subject(names[i]), data_,
                                                 kSamples, arguments_.common.settings(&progress_));
    Json json = to_json(comparison, {names[0], names[i]});
    json.erase("outputs");  // they are judged by their accuracy
    run_record().add("compare", json, arguments_.common);
  }
  write_report(arguments_.folder + "/report.html");
}

void Demo::measure() {
  say("Measuring latency: one digit at a time, one thread, models in turns.");
  std::vector<Graph> graphs;
  for (const Entry& entry : entries_) graphs.push_back(load_model(entry.file));
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
    print_json({{"seed", arguments_.common.seed},
                {"rows", std::move(rows)},
                {"report", arguments_.folder + "/report.html"}});
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
      "{}/report.html shows all of it, layer by layer.\n"
      "Try: nibble compare {} {} --data digits\n",
      table.to_string(), entries_.front().evaluation.samples, arguments_.folder, entries_[0].file,
      entries_[2].file);
}

void Demo::run() {
  make_folder(arguments_.folder);
  run_record().keep();
  const TrainResult trained = train_float();
  add("float", "W32 A32", "float", trained.graph);
  record_training("train", trained, {{"architecture", "digits-cnn"}});

  say("Range analysis, then post-training quantization (PTQ).");
  const Quantized ptq8 = quantize_to({8, 8});
  add("PTQ", "W8 A8", "ptq-w8a8", ptq8.graph);
  record_quantization(ptq8);
  const Quantized ptq4 = quantize_to({4, 4});
  add("PTQ", "W4 A4", "ptq-w4a4", ptq4.graph);
  record_quantization(ptq4);
  say("Choosing 8 or 4 bits per layer for an average of 5 bits per weight.");
  const Quantized mixed = quantize_to({8, 8}, 5.0);
  add("PTQ, chosen bits", "W8/4 A8", "ptq-mixed", mixed.graph);
  record_quantization(mixed);

  say("Quantization-aware fine-tuning (QAFT) of the W4 A4 network.");
  const std::string ptq4_file = entries_[2].file;
  const TrainResult tuned =
      train_on(load_model(ptq4_file), nullptr, finetune_defaults(), "QAFT W4A4");
  add("QAFT", "W4 A4", "qaft-w4a4", tuned.graph);
  record_training("finetune", tuned, {{"model", ptq4_file}});
  say("Quantization-aware training (QAT) at 4 and at 2 bits.");
  const Json from_float = {{"model", entries_.front().file}};
  const TrainResult qat4 = train_on(ptq4.graph, &ptq4.float_graph, qat_defaults(4, 4), "QAT W4A4");
  add("QAT", "W4 A4", "qat-w4a4", qat4.graph);
  record_training("qat", qat4, from_float);
  const Quantized start2 = quantize_to({2, 2});
  const TrainResult qat2 =
      train_on(start2.graph, &start2.float_graph, qat_defaults(2, 2), "QAT W2A2");
  add("QAT", "W2 A2", "qat-w2a2", qat2.graph);
  record_training("qat", qat2, from_float);

  measure();
  write_page();
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
