#include "cli/command.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"

namespace nibble::cli {

void CommonOptions::declare(CLI::App& app) {
  app.add_flag("--json", json, "Print the result as JSON on stdout");
  app.add_option("--threads", threads, "Threads to use; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of everything random; the same seed gives the same file")
      ->capture_default_str();
}

void PreprocessOptions::declare(CLI::App& app) {
  const std::string group = "Preprocessing (default: what the model file stores)";
  app.add_option("--preprocess", file, "JSON file with the fields below")->group(group);
  app.add_option("--resize", resize, "S: shorter side to S pixels; H,W: to exactly that")
      ->delimiter(',')
      ->expected(1, 2)
      ->group(group);
  app.add_option("--crop", crop, "S or H,W: centre crop")
      ->delimiter(',')
      ->expected(1, 2)
      ->group(group);
  app.add_option("--color", color, "Order of the input channels")
      ->check(CLI::IsMember({"rgb", "bgr", "grey"}))
      ->group(group);
  app.add_option("--scale", scale, "x = (byte * scale - mean) / std; default 1/255")->group(group);
  app.add_option("--mean", mean, "One number per channel: 0.485,0.456,0.406")
      ->delimiter(',')
      ->group(group);
  app.add_option("--std", std, "One number per channel: 0.229,0.224,0.225")
      ->delimiter(',')
      ->group(group);
}

bool PreprocessOptions::given() const {
  return !file.empty() || !resize.empty() || !crop.empty() || !color.empty() || scale != 0 ||
         !mean.empty() || !std.empty();
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
  }
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

void DataArguments::declare(CLI::App& app) {
  app.add_option("--data", spec,
                 "digits, a folder of class folders, a folder with labels.csv, IDX or CIFAR-10 "
                 "files, X.npy,Y.npy or "
                 "FILE.npz")
      ->required();
  preprocess.declare(app);
}

namespace {

bool wants_one_channel(const Graph* model) {
  if (model == nullptr || model->inputs.empty()) return false;
  const Shape& shape = model->value(model->inputs[0]).type.shape;
  return shape.rank() == 4 && shape[1] == 1;
}

}  // namespace

std::shared_ptr<const Dataset> DataArguments::open(Split split, const Graph* model,
                                                   uint64_t seed) const {
  DataOptions options{.split = split, .seed = seed};
  if (model != nullptr) options.preprocess = stored_preprocess(*model);
  std::shared_ptr<const Dataset> dataset;
  if (!options.preprocess) {
    dataset = open_dataset(spec, options);
    options.preprocess = dataset->preprocess();
    if (options.preprocess && wants_one_channel(model)) {
      options.preprocess->color = Preprocess::Color::grey;
      dataset = nullptr;
    }
  }
  if (preprocess.given()) {
    options.preprocess = preprocess.over(options.preprocess.value_or(Preprocess{}));
    dataset = nullptr;
  }
  if (dataset == nullptr) dataset = open_dataset(spec, options);
  if (model == nullptr || model->inputs.empty()) return dataset;
  const Value& input = model->value(model->inputs[0]);
  if (!input.type.shape.has_rank()) return dataset;
  const Shape sample = dataset->sample_shape();
  bool fits = input.type.shape.rank() == sample.rank() + 1;
  for (int axis = 0; fits && axis < sample.rank(); ++axis) {
    fits = input.type.shape[axis + 1] < 0 || input.type.shape[axis + 1] == sample[axis];
  }
  if (!fits) {
    fail(ErrorCode::invalid_data,
         "{}: a sample has shape {}, but the model's input '{}' is {}; use --resize, --crop or "
         "--color to make them fit",
         spec, sample.to_string(), input.name, input.type.shape.to_string());
  }
  return dataset;
}

void store_preprocess_of(Graph& graph, const Dataset& dataset) {
  if (const std::optional<Preprocess> preprocess = dataset.preprocess())
    store_preprocess(graph, *preprocess);
}

bool is_quantized(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (graph.value({i}).type.quant) return true;
  }
  return false;
}

std::vector<std::string> names_of(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.emplace_back(choice.name);
  return names;
}

std::string describe_choices(const std::string& what, const std::vector<Choice>& choices,
                             const std::string& usual) {
  std::string text = what + ": ";
  for (size_t i = 0; i < choices.size(); ++i) {
    text += fmt::format("{}{} ({})", i > 0 ? ", " : "", choices[i].name, choices[i].summary);
  }
  return text + "; default " + usual;
}

CLI::Validator positive() {
  const auto test = [](const std::string& text) -> std::string {
    double number = 0;
    const bool fits = CLI::detail::lexical_cast(text, number) && number > 0;
    return fits ? "" : fmt::format("{} is not a number above 0", text);
  };
  return {test, "ABOVE 0"};
}

void print_json(const Json& json) {
  // Names in a file may be any bytes; what is not UTF-8 is replaced.
  const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int output_columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 0;
}

void check_writable(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder)) {
    fail(ErrorCode::io, "cannot write '{}': the folder '{}' does not exist", path, folder.string());
  }
  if (access(folder.c_str(), W_OK) != 0) {
    fail(ErrorCode::io, "cannot write '{}': no permission to write in '{}'", path, folder.string());
  }
  if (std::filesystem::is_directory(path))
    fail(ErrorCode::io, "cannot write '{}': it is a folder", path);
}

std::span<const CommandRow> commands() {
  static constexpr std::array rows = {
      CommandRow{"inspect", "Operators, parameters, MACs, and what can be quantized",
                 "nibble inspect model.onnx", declare_inspect},
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
      CommandRow{"eval", "Accuracy with confidence, and a paired test against the first model",
                 "nibble eval digits.onnx digits-w4a8.onnx --data digits", declare_eval},
      CommandRow{"compare", "Error layer by layer, worst first",
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
