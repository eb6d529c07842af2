// nibble run: one inference, tensors from and to files.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/check.h"
#include "base/file_names.h"
#include "cli/command.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::vector<std::string> inputs;
  std::string folder;
  Arithmetic arithmetic = Arithmetic::integer;
  CommonOptions common;
};

Tensor load_tensor(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension();
  if (extension == ".npy") return load_npy(path);
  if (extension == ".pb") return load_tensor_proto(path);
  fail(ErrorCode::invalid_argument, "'{}' is neither .npy nor .pb (an ONNX TensorProto)", path);
}

std::map<std::string, Tensor> load_inputs(const std::vector<std::string>& arguments) {
  std::map<std::string, Tensor> tensors;
  for (const std::string& argument : arguments) {
    const auto [name, file] = split_assignment(argument, "--input", "NAME=FILE");
    if (!tensors.emplace(name, load_tensor(file)).second) {
      fail(ErrorCode::invalid_argument, "--input gives '{}' twice", name);
    }
  }
  return tensors;
}

std::string input_list(const Graph& graph) {
  std::string text;
  for (ValueId id : graph.inputs) {
    if (!text.empty()) text += ", ";
    text += fmt::format("'{}' {}", graph.value(id).name, to_string(graph.value(id).type));
  }
  return text;
}

// In the order of the graph's inputs; every one must be given, and nothing else.
std::vector<Tensor> in_graph_order(const Graph& graph, std::map<std::string, Tensor> tensors) {
  for (const auto& [name, tensor] : tensors) {
    const auto value = graph.find_value(name);
    if (!value || !graph.is_input(*value)) {
      fail(ErrorCode::invalid_argument, "the model has no input '{}'; it takes {}", name,
           input_list(graph));
    }
  }
  std::vector<Tensor> ordered;
  for (ValueId id : graph.inputs) {
    auto taken = tensors.extract(graph.value(id).name);
    if (taken.empty()) {
      fail(ErrorCode::invalid_argument, "input '{}' is not given; the model takes {}",
           graph.value(id).name, input_list(graph));
    }
    ordered.push_back(std::move(taken.mapped()));
  }
  return ordered;
}

Json summary(const std::string& name, const Tensor& tensor) {
  Json json = {{"name", name}, {"type", name_of(tensor.dtype())}, {"shape", Json::array()}};
  for (int64_t dim : tensor.shape()) json["shape"].push_back(dim);
  if (tensor.elements() == 0 || tensor.elements() > 1000) return json;
  json["values"] = Json::array();
  const Tensor values = convert(tensor, DType::f64);
  for (double value : values.data<double>()) json["values"].push_back(value);
  return json;
}

std::string values_text(const Tensor& tensor) {
  constexpr int64_t kShown = 12;
  std::string text;
  const Tensor reals = convert(tensor, DType::f64);
  for (int64_t i = 0; i < std::min(kShown, tensor.elements()); ++i) {
    text += fmt::format(" {:.6g}", reals.data<double>()[static_cast<size_t>(i)]);
  }
  return text + (tensor.elements() > kShown ? " ..." : "");
}

// One file for each result in arguments.folder, if there is one.
void show_results(const Arguments& arguments, const std::vector<std::string>& names,
                  std::span<const Tensor> results) {
  const std::vector<std::string> files = file_names(names);
  Json outputs = Json::array();
  for (size_t i = 0; i < results.size(); ++i) {
    Json output = summary(names[i], results[i]);
    std::string where;
    if (!arguments.folder.empty()) {
      const std::filesystem::path path =
          std::filesystem::path(arguments.folder) / (files[i] + ".npy");
      save_npy(results[i], path);
      output["file"] = path.string();
      where = " -> " + path.string();
    }
    if (!arguments.common.json) {
      tell("{} {}{}{}:{}\n", names[i], name_of(results[i].dtype()), results[i].shape().to_string(),
           where, values_text(results[i]));
    }
    outputs.push_back(std::move(output));
  }
  if (arguments.common.json) print_json({{"outputs", std::move(outputs)}});
}

int run(const Arguments& arguments) {
  const Graph graph = load_onnx(arguments.model);
  const std::vector<Tensor> inputs = in_graph_order(graph, load_inputs(arguments.inputs));
  if (!arguments.folder.empty()) make_folder(arguments.folder);
  CompileOptions options{.arithmetic = arguments.arithmetic, .threads = arguments.common.threads};
  for (size_t i = 0; i < inputs.size(); ++i) {
    options.input_shapes[graph.value(graph.inputs[i]).name] = inputs[i].shape();
  }
  with_context([&] { return "running " + arguments.model; },
               [&] {
                 Program program = compile(graph, options);
                 const std::span<const Tensor> results = program.run(inputs);
                 show_results(arguments, program.output_names(), results);
               });
  return 0;
}

}  // namespace

std::function<int()> declare_run(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model")->type_name("FILE")->required();
  app.add_option("--input", arguments->inputs,
                 "NAME=FILE, once per input; .npy or ONNX TensorProto .pb");
  app.add_option(
      "-o,--output", arguments->folder,
      "Folder for the outputs, one NAME.npy each; '_' stands for what a file name cannot hold");
  declare_arithmetic(app, arguments->arithmetic);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
