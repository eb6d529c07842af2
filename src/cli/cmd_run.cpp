// nibble run: one inference, tensors from and to files.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/check.h"
#include "base/file_names.h"
#include "cli/command.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "verbs/session.h"

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
  const auto graph = std::make_shared<const Graph>(load_onnx(arguments.model));
  std::map<std::string, Tensor> inputs = load_inputs(arguments.inputs);
  in_graph_order(*graph, inputs);  // what is missing or surplus is said before a folder is made
  if (!arguments.folder.empty()) make_folder(arguments.folder);
  std::vector<std::string> names;
  for (ValueId id : graph->outputs) names.push_back(graph->value(id).name);
  with_context([&] { return "running " + arguments.model; },
               [&] {
                 Session session(graph, arguments.arithmetic, arguments.common.threads);
                 show_results(arguments, names, session.run(std::move(inputs)));
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
  arguments->common.declare(app, false);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
