#include "ops/on_grid.h"

#include <algorithm>
#include <cmath>

namespace nibble::testing {
namespace {

struct Range {
  double low = 0, high = 0;  // with zero
};

Range range_of(const Tensor& tensor) {
  Range range;
  for (float x : tensor.data<float>()) {
    range.low = std::min(range.low, static_cast<double>(x));
    range.high = std::max(range.high, static_cast<double>(x));
  }
  return range;
}

/// The coarsest power of two that every element is a multiple of; nullopt if there is none in
/// [2^-12, 2^12].
std::optional<double> step_of(const Tensor& tensor) {
  for (int exponent = 12; exponent >= -12; --exponent) {
    const double step = std::ldexp(1.0, exponent);
    const auto fits = [&](float x) { return std::isfinite(x) && std::fmod(x, step) == 0; };
    if (std::ranges::all_of(tensor.data<float>(), fits)) return step;
  }
  return std::nullopt;
}

bool is_real(const Tensor& tensor) { return tensor.dtype() == DType::f32 && tensor.elements() > 0; }

/// The u8 grid that holds the tensor exactly.
std::optional<QuantParams> exact_params(const Tensor& tensor) {
  const auto step = step_of(tensor);
  if (!step) return std::nullopt;
  const Range range = range_of(tensor);
  if ((range.high - range.low) / *step > 255) return std::nullopt;
  return QuantParams{.storage = DType::u8,
                     .qmin = 0,
                     .qmax = 255,
                     .scale = {static_cast<float>(*step)},
                     .zero_point = {static_cast<int32_t>(-range.low / *step)}};
}

/// The u8 grid that spans the tensor's range, as calibration would choose it.
QuantParams spanning_params(const Tensor& tensor) {
  const Range range = range_of(tensor);
  const double step = std::max(range.high - range.low, 1e-3) / 255;
  return {.storage = DType::u8,
          .qmin = 0,
          .qmax = 255,
          .scale = {static_cast<float>(step)},
          .zero_point = {static_cast<int32_t>(std::lround(-range.low / step))}};
}

bool make_constant(Value& value, const Tensor& real, DType storage, double step) {
  QuantParams params{.storage = storage,
                     .qmin = storage == DType::i8 ? -127 : INT32_MIN,
                     .qmax = storage == DType::i8 ? 127 : INT32_MAX,
                     .scale = {static_cast<float>(step)},
                     .zero_point = {0}};
  value.data = quantize_tensor(real, params);
  if (!(dequantize_tensor(value.data, params).bytes() == real.bytes())) return false;
  const Tensor back = dequantize_tensor(value.data, params);
  if (!std::ranges::equal(back.data<float>(), real.data<float>())) return false;
  value.type.quant = std::move(params);
  return true;
}

/// Weight and bias of a layer become typed constants.
bool type_layer(Graph& graph, const OpCase& op_case, const Node& node) {
  const auto input = graph.value(node.inputs[0]).type.quant;
  const auto step = step_of(op_case.inputs[1]);
  if (!input || !step) return false;
  if (!make_constant(graph.value(node.inputs[1]), op_case.inputs[1], DType::i8, *step)) {
    return false;
  }
  return !node.input(2) || make_constant(graph.value(node.inputs[2]), op_case.inputs[2], DType::i32,
                                         static_cast<double>(input->scale[0]) * *step);
}

}  // namespace

std::optional<GridCase> on_grid(const OpCase& op_case, const OpRow& row) {
  if (op_case.inputs.empty() || !is_real(op_case.inputs[0])) return std::nullopt;
  // Operands of arithmetic flow in; of the others, only the first.
  const bool all_flow = row.quant == QuantRole::arithmetic;
  std::vector<bool> constant(op_case.inputs.size(), !all_flow);
  constant[0] = false;
  GridCase result{.graph = graph_of(op_case, constant),
                  .inputs = graph_inputs(op_case, constant),
                  .tolerance = {}};
  Graph& graph = result.graph;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    if (!is_real(result.inputs[i])) return std::nullopt;
    graph.value(graph.inputs[i]).type.quant = exact_params(result.inputs[i]);
    if (!graph.value(graph.inputs[i]).type.quant) return std::nullopt;
  }
  const Node node = graph.node(graph.nodes()[0]);
  if (row.quant == QuantRole::weighted && !type_layer(graph, op_case, node)) return std::nullopt;
  for (size_t i = 0; i < op_case.expected.size(); ++i) {
    result.tolerance.push_back(0);
    if (!is_real(op_case.expected[i])) continue;
    auto& quant = graph.value(graph.outputs[i]).type.quant;
    quant = row.quant == QuantRole::same_codes ? graph.value(graph.inputs[0]).type.quant
                                               : spanning_params(op_case.expected[i]);
    result.tolerance.back() = 0.5 * static_cast<double>(quant->scale[0]) * 1.001 + 1e-6;
  }
  return result;
}

}  // namespace nibble::testing
