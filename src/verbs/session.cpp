#include "verbs/session.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {
namespace {

constexpr size_t kPrograms = 4;

std::string input_list(const Graph& graph) {
  std::string text;
  for (ValueId id : graph.inputs) {
    if (!text.empty()) text += ", ";
    text += fmt::format("'{}' {}", graph.value(id).name, to_string(graph.value(id).type));
  }
  return text;
}

std::vector<Shape> shapes_of(const std::vector<Tensor>& tensors) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : tensors) shapes.push_back(tensor.shape());
  return shapes;
}

}  // namespace

std::vector<std::pair<std::string, Arithmetic>> arithmetic_names() {
  return {{"integer", Arithmetic::integer},
          {"fake-quantize", Arithmetic::fake_quantize},
          {"f32", Arithmetic::f32},
          {"saturating16", Arithmetic::saturating16}};
}

Arithmetic arithmetic_named(std::string_view name) {
  for (const auto& [known, arithmetic] : arithmetic_names()) {
    if (known == name) return arithmetic;
  }
  fail(ErrorCode::invalid_argument,
       "the arithmetic is integer, fake-quantize, f32 or saturating16, not '{}'", name);
}

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

Session::Session(std::shared_ptr<const Graph> graph, Arithmetic arithmetic, int threads)
    : graph_(std::move(graph)), arithmetic_(arithmetic), threads_(threads) {}

Program& Session::program_for(const std::vector<Tensor>& inputs) {
  std::vector<Shape> shapes = shapes_of(inputs);
  const auto known = std::ranges::find(programs_, shapes, &Compiled::shapes);
  if (known != programs_.end()) {
    std::rotate(programs_.begin(), known, known + 1);
    return programs_.front().program;
  }
  CompileOptions options{.arithmetic = arithmetic_, .input_shapes = {}, .threads = threads_};
  for (size_t i = 0; i < shapes.size(); ++i) {
    options.input_shapes[graph_->value(graph_->inputs[i]).name] = shapes[i];
  }
  Program program = compile(*graph_, options);
  if (programs_.size() == kPrograms) programs_.pop_back();
  programs_.push_front({std::move(shapes), std::move(program)});
  return programs_.front().program;
}

std::vector<Tensor> Session::run(std::map<std::string, Tensor> given) {
  const std::vector<Tensor> inputs = in_graph_order(*graph_, std::move(given));
  const std::lock_guard lock(mutex_);
  std::vector<Tensor> results;
  for (const Tensor& result : program_for(inputs).run(inputs)) results.push_back(result.clone());
  return results;
}

}  // namespace nibble
