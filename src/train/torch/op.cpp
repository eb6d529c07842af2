#include "train/torch/op.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"

namespace nibble {

const torch::Tensor& TorchCall::in(size_t i) const {
  if (!has(i)) fail(ErrorCode::invalid_model, "input {} is missing", i);
  return inputs_[i];
}

std::vector<int64_t> TorchCall::integers(size_t i) const {
  if (!has(i)) return {};
  const torch::Tensor flat = in(i).to(torch::kCPU, torch::kLong).contiguous();
  const auto* data = flat.data_ptr<int64_t>();
  return {data, data + flat.numel()};
}

std::vector<int64_t> TorchCall::attribute_or_input(std::string_view name, size_t i) const {
  return node.attributes.has(name) ? node.attributes.integers(name) : integers(i);
}

int64_t TorchCall::axis(std::string_view name, int64_t fallback) const {
  const int64_t axis = node.attributes.integer(name, fallback);
  return axis < 0 ? axis + in(0).dim() : axis;
}

namespace {

// Integers are kept on the CPU, where shapes and indices are read (network_setup.cpp), and so is
// what is computed of them; reals, and integers that are counted with integers, go where the first
// input that is elsewhere is.
TorchCall::Tensors on_one_device(const TorchCall::Tensors& inputs) {
  const auto elsewhere = std::ranges::find_if(
      inputs, [](const torch::Tensor& input) { return input.defined() && !input.is_cpu(); });
  if (elsewhere == inputs.end()) return inputs;
  const auto is_whole = [](const torch::Tensor& input) {
    return !input.is_floating_point() && input.scalar_type() != torch::kBool;
  };
  TorchCall::Tensors moved = inputs;
  for (torch::Tensor& input : moved) {
    if (!input.defined() || !input.is_cpu()) continue;
    if (!is_whole(input) || is_whole(*elsewhere)) input = input.to(elsewhere->device());
  }
  return moved;
}

}  // namespace

std::vector<torch::Tensor> run_torch_op(const TorchOpRow& row, const Node& node, int opset,
                                        const TorchCall::Tensors& inputs, const TorchMode& mode) {
  TorchCall::Tensors guarded = on_one_device(inputs);
  if (!row.singular) return row.run(TorchCall(node, opset, guarded, mode));
  for (torch::Tensor& input : guarded) {
    if (!input.defined() || !input.requires_grad()) continue;
    input = input.view_as(input);
    input.register_hook([](const torch::Tensor& gradient) {
      return torch::where(gradient.isfinite(), gradient, torch::zeros_like(gradient));
    });
  }
  return row.run(TorchCall(node, opset, guarded, mode));
}

const TorchOpRow* find_torch_op(std::string_view op, std::string_view domain) {
  static const auto table = [] {
    std::unordered_map<std::string_view, const TorchOpRow*> rows;
    for (const auto& family :
         {torch_function_ops(), torch_index_ops(), torch_layer_ops(), torch_math_ops(),
          torch_recurrent_ops(), torch_reduce_ops(), torch_shape_ops()}) {
      for (const TorchOpRow& row : family) rows.emplace(row.name, &row);
    }
    return rows;
  }();
  if (!domain.empty() && domain != "ai.onnx") return nullptr;
  const auto it = table.find(op);
  return it == table.end() ? nullptr : it->second;
}

}  // namespace nibble
