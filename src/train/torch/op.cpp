#include "train/torch/op.h"

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

std::vector<torch::Tensor> run_torch_op(const TorchOpRow& row, const Node& node, int opset,
                                        const TorchCall::Tensors& inputs, bool training,
                                        uint64_t seed) {
  if (!row.singular) return row.run(TorchCall(node, opset, inputs, training, seed));
  TorchCall::Tensors guarded = inputs;
  for (torch::Tensor& input : guarded) {
    if (!input.defined() || !input.requires_grad()) continue;
    input = input.view_as(input);
    input.register_hook([](const torch::Tensor& gradient) {
      return torch::where(gradient.isfinite(), gradient, torch::zeros_like(gradient));
    });
  }
  return row.run(TorchCall(node, opset, guarded, training, seed));
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
