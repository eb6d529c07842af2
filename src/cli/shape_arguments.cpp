// --shape NAME=1x3x224x224: the shapes of inputs with unknown dimensions.
#include <algorithm>

#include "base/check.h"
#include "cli/command.h"

namespace nibble::cli {

void declare_shapes(CLI::App& app, std::vector<std::string>& shapes) {
  app.add_option("--shape", shapes,
                 "NAME=1x3x224x224: shape of an input with unknown dimensions; repeatable")
      ->type_name("NAME=NxN...")
      ->expected(1)
      ->take_all();
}

std::map<std::string, Shape> input_shapes(const std::vector<std::string>& arguments) {
  std::map<std::string, Shape> shapes;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.rfind('=');  // names may hold '='
    if (equals == std::string::npos || equals == 0 || equals + 1 == argument.size()) {
      fail(ErrorCode::invalid_argument, "--shape {}: expected NAME=1x3x224x224", argument);
    }
    const Shape shape(
        parse_extents(argument.substr(equals + 1), "--shape " + argument.substr(0, equals)));
    if (!shapes.emplace(argument.substr(0, equals), shape).second) {
      fail(ErrorCode::invalid_argument, "--shape gives '{}' twice", argument.substr(0, equals));
    }
  }
  return shapes;
}

void check_shapes(const std::map<std::string, Shape>& shapes, std::span<const Graph> graphs) {
  for (const auto& [name, shape] : shapes) {
    const bool found = std::ranges::any_of(graphs, [&, &input = name](const Graph& graph) {
      const auto value = graph.find_value(input);
      return value && graph.is_input(*value);
    });
    if (!found) fail(ErrorCode::invalid_argument, "--shape {}: no model has this input", name);
  }
}

}  // namespace nibble::cli
