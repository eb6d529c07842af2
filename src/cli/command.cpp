#include "cli/command.h"

#include <array>

#include "base/check.h"
#include "onnx/model_size.h"
#include "report/format.h"
#include "verbs/session.h"

namespace nibble::cli {

void CommonOptions::declare(CLI::App& app, bool measures) {
  add_option(app, kJsonOption, json);
  add_option(
      app,
      {.flag = "--threads", .help = "Threads to use (0: one per core)", .least = 0, .most = 1024},
      threads);
  add_option(app,
             {.flag = "--seed",
              .help = "Seed of everything random; the same seed gives the same file",
              .least = 0},
             seed);
  if (measures) declare_run_folder(app);
}

void declare_run_folder(CLI::App& app) {
  app.add_option_function<std::string>(
         "--run", [](const std::string& folder) { run_record().set_folder(folder); },
         "Leave the result in this folder too, for nibble report; commands may share one")
      ->type_name("FOLDER");
}

Graph load_model(const std::string& path) {
  Graph graph = load_onnx(path);
  run_record().note_model("read", path);
  return graph;
}

uint64_t save_model(const Graph& graph, const std::string& path, const Target& target) {
  return with_context([&] { return "saving " + path; },
                      [&] {
                        save_onnx(graph, path, target);
                        const std::optional<uint64_t> bytes = size_of_model(path);
                        run_record().note_model("written", path);
                        // None of a pipe or a device.
                        return bytes ? *bytes : serialize_onnx(graph, target).size();
                      });
}

std::string size_text(const std::string& path) {
  const std::optional<uint64_t> bytes = size_of_model(path);
  return bytes ? format_bytes(*bytes) : "?";
}

void declare_target(CLI::App& app, std::string& target) {
  add_option(app,
             {.flag = "--target",
              .help = "The runtime that the file is meant for",
              .choices = option_choices(target_choices())},
             target);
}

void declare_arithmetic(CLI::App& app, Arithmetic& arithmetic) {
  add_choice<Arithmetic>(
      app,
      {.flag = "--arithmetic",
       .help = "How quantized models are run (saturating16: as other runtimes do "
               "on x86 CPUs without VNNI)"},
      arithmetic_names(), arithmetic);
}

std::span<const CommandRow> commands() {
  static constexpr std::array rows = {
      CommandRow{"inspect", "Operators, parameters, MACs, and what can be quantized",
                 "nibble inspect model.onnx", declare_inspect},
      CommandRow{"check", "Is a quantized model right and fast in a runtime? Exit code 1 if not",
                 "nibble check model.onnx --target onnxruntime", declare_check},
      CommandRow{"ops", "The operators that Nibble has, and which can be quantized and trained",
                 "nibble ops MatMul", declare_ops},
      CommandRow{"train", "Train a float network from scratch",
                 "nibble train --arch digits-cnn --data digits -o digits.onnx", declare_train,
                 RunBy::all},
      CommandRow{"analyze", "Dynamic range analysis of every weight and activation",
                 "nibble analyze digits.onnx --data digits -o ranges.json", declare_analyze,
                 RunBy::all},
      CommandRow{"quantize", "Post-training quantization (PTQ)",
                 "nibble quantize digits.onnx --data digits --weights 4 -o digits-w4a8.onnx",
                 declare_quantize, RunBy::all},
      CommandRow{
          "qat", "Quantization-aware training from a float model",
          "nibble qat digits.onnx --data digits --weights 4 --activations 4 -o digits-qat4.onnx",
          declare_qat, RunBy::all},
      CommandRow{"finetune", "Fine-tune an already quantized model (QAFT)",
                 "nibble finetune digits-w4a8.onnx --data digits -o digits-tuned.onnx",
                 declare_finetune, RunBy::all},
      CommandRow{"eval", "Accuracy or another metric with confidence, paired with the first model",
                 "nibble eval digits.onnx digits-w4a8.onnx --data digits", declare_eval,
                 RunBy::all},
      CommandRow{"compare", "Error of the outputs, then layer by layer, worst first",
                 "nibble compare digits.onnx digits-w4a8.onnx --data digits", declare_compare},
      CommandRow{"run", "One inference on .npy or .pb tensors",
                 "nibble run model.onnx --input input=x.npy -o outputs", declare_run},
      CommandRow{"bench", "Latency, throughput, memory and size, models interleaved",
                 "nibble bench digits.onnx digits-w4a8.onnx --threads 1,2", declare_bench},
      CommandRow{"profile", "Where the time goes, step by step, and why a step is in float",
                 "nibble profile digits-w4a8.onnx --top 10", declare_profile},
      CommandRow{"demo", "The whole path on real handwritten digits, in one table", "nibble demo",
                 declare_demo},
      CommandRow{"launch", "A command as several processes on this machine, which share the work",
                 "nibble launch -n 2 nibble eval digits.onnx --data digits", declare_launch,
                 RunBy::each},
      CommandRow{"new", "A project of your own: settings, steps, tests, CI",
                 "nibble new my-project --model model.onnx --data photos --resize 224x224",
                 declare_new},
      CommandRow{"provenance", "How a model was made, as its file tells it",
                 "nibble provenance digits-w4a8.onnx", declare_provenance},
      CommandRow{"reproduce", "Make a quantized model again: the same bytes? Exit code 1 if not",
                 "nibble reproduce digits-w4a8.onnx digits.onnx --data digits", declare_reproduce},
      CommandRow{"report", "One page of what commands left with --run",
                 "nibble report run/ -o report.html", declare_report},
  };
  return rows;
}

}  // namespace nibble::cli
