#include "cli/command.h"

#include <array>

#include "base/check.h"
#include "base/file.h"
#include "report/format.h"

namespace nibble::cli {

void CommonOptions::declare(CLI::App& app) {
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
}

void PreprocessOptions::declare(CLI::App& app) {
  const std::string group = "Preprocessing (default: what the model file stores)";
  app.add_option("--preprocess", file, "JSON file with the fields below")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--resize", resize, "S: shorter side to S pixels; H,W: to exactly that")
      ->delimiter(',')
      ->expected(1, 2)
      ->type_name("S|H,W")
      ->group(group);
  app.add_option("--letterbox", letterbox,
                 "HxW: to that size, keeping the aspect ratio; the rest is padded")
      ->type_name("HxW")
      ->group(group);
  add_option(app,
             {.flag = "--pad-value",
              .help = "The byte that --letterbox pads with; default 114",
              .least = 0,
              .most = 255},
             pad_value, group);
  app.add_option("--crop", crop, "S or H,W: centre crop")
      ->delimiter(',')
      ->expected(1, 2)
      ->type_name("S|H,W")
      ->group(group);
  add_option(app,
             {.flag = "--color",
              .help = "Order of the input channels",
              .choices = {{"rgb"}, {"bgr"}, {"grey"}}},
             color, group);
  add_option(app,
             {.flag = "--layout",
              .help = "Order of the input's dimensions; default: the model's",
              .choices = {{"chw"}, {"hwc"}}},
             layout, group);
  app.add_option(
         "--scale", scale,
         "x = (byte * scale - mean) / std; default 1/255, or 1 for a model that takes bytes")
      ->type_name("X")
      ->group(group);
  app.add_option("--mean", mean, "One number per channel: 0.485,0.456,0.406")
      ->delimiter(',')
      ->type_name("X,...")
      ->group(group);
  app.add_option("--std", std, "One number per channel: 0.229,0.224,0.225")
      ->delimiter(',')
      ->type_name("X,...")
      ->group(group);
}

bool PreprocessOptions::given() const {
  return !file.empty() || !resize.empty() || !letterbox.empty() || pad_value || !layout.empty() ||
         !crop.empty() || !color.empty() || scale != 0 || !mean.empty() || !std.empty();
}

Preprocess PreprocessOptions::over(Preprocess result) const {
  if (!file.empty()) {
    result = with_context([&] { return "reading " + file; },
                          [&] { return preprocess_from_json(read_file(file)); });
  }
  if (!resize.empty()) {
    const bool exact = resize.size() == 2;
    result.resize_shorter = exact ? 0 : resize[0];
    result.resize_height = exact ? resize[0] : 0;
    result.resize_width = exact ? resize[1] : 0;
    result.letterbox = false;
  }
  if (!letterbox.empty()) {
    const std::vector<int64_t> extents = parse_extents(letterbox, "--letterbox");
    if (extents.size() > 2) {
      fail(ErrorCode::invalid_argument, "--letterbox {}: expected HxW", letterbox);
    }
    result.letterbox = true;
    result.resize_shorter = 0;
    result.resize_height = static_cast<int>(extents.front());
    result.resize_width = static_cast<int>(extents.back());
    result.crop_height = result.crop_width = 0;
  }
  if (pad_value) result.pad_value = *pad_value;
  if (layout == "chw") result.layout = Preprocess::Layout::chw;
  if (layout == "hwc") result.layout = Preprocess::Layout::hwc;
  if (!crop.empty()) {
    result.crop_height = crop.front();
    result.crop_width = crop.back();
  }
  if (color == "rgb") result.color = Preprocess::Color::rgb;
  if (color == "bgr") result.color = Preprocess::Color::bgr;
  if (color == "grey") result.color = Preprocess::Color::grey;
  if (scale != 0) result.scale = scale;
  if (!mean.empty()) result.mean = mean;
  if (!std.empty()) result.std = std;
  return result;
}

void store_preprocess_of(Graph& graph, const Dataset& dataset) {
  if (const std::optional<Preprocess> preprocess = dataset.preprocess())
    store_preprocess(graph, *preprocess);
}

uint64_t save_model(const Graph& graph, const std::string& path, const Target& target) {
  return with_context([&] { return "saving " + path; },
                      [&] {
                        const std::string bytes = serialize_onnx(graph, target);
                        write_file(path, bytes);
                        return bytes.size();
                      });
}

std::string size_text(const std::string& path) {
  const std::optional<uint64_t> bytes = size_of_file(path);
  return bytes ? format_bytes(*bytes) : "?";
}

bool is_quantized(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (graph.value({i}).type.quant) return true;
  }
  return false;
}

void declare_target(CLI::App& app, std::string& target) {
  add_option(app,
             {.flag = "--target",
              .help = "The runtime that the file is meant for",
              .choices = option_choices(target_choices())},
             target);
}

void declare_arithmetic(CLI::App& app, Arithmetic& arithmetic) {
  add_choice<Arithmetic>(app, {.flag = "--arithmetic", .help = "How quantized models are run"},
                         {{"integer", Arithmetic::integer},
                          {"fake-quantize", Arithmetic::fake_quantize},
                          {"f32", Arithmetic::f32}},
                         arithmetic);
}

std::span<const CommandRow> commands() {
  static constexpr std::array rows = {
      CommandRow{"inspect", "Operators, parameters, MACs, and what can be quantized",
                 "nibble inspect model.onnx", declare_inspect},
      CommandRow{"ops", "The operators that Nibble has, and which can be quantized and trained",
                 "nibble ops MatMul", declare_ops},
      CommandRow{"train", "Train a float network from scratch",
                 "nibble train --arch digits-cnn --data digits -o digits.onnx", declare_train},
      CommandRow{"analyze", "Dynamic range analysis of every weight and activation",
                 "nibble analyze digits.onnx --data digits -o ranges.json", declare_analyze},
      CommandRow{"quantize", "Post-training quantization (PTQ)",
                 "nibble quantize digits.onnx --data digits --weights 4 -o digits-w4a8.onnx",
                 declare_quantize},
      CommandRow{
          "qat", "Quantization-aware training from a float model",
          "nibble qat digits.onnx --data digits --weights 4 --activations 4 -o digits-qat4.onnx",
          declare_qat},
      CommandRow{"finetune", "Fine-tune an already quantized model (QAFT)",
                 "nibble finetune digits-w4a8.onnx --data digits -o digits-tuned.onnx",
                 declare_finetune},
      CommandRow{"eval", "Accuracy or another metric with confidence, paired with the first model",
                 "nibble eval digits.onnx digits-w4a8.onnx --data digits", declare_eval},
      CommandRow{"compare", "Error of the outputs, then layer by layer, worst first",
                 "nibble compare digits.onnx digits-w4a8.onnx --data digits", declare_compare},
      CommandRow{"run", "One inference on .npy or .pb tensors",
                 "nibble run model.onnx --input input=x.npy -o outputs", declare_run},
      CommandRow{"bench", "Latency, throughput, memory and size, models interleaved",
                 "nibble bench digits.onnx digits-w4a8.onnx --threads 1,2", declare_bench},
      CommandRow{"demo", "The whole path on real handwritten digits, in one table", "nibble demo",
                 declare_demo},
  };
  return rows;
}

}  // namespace nibble::cli
