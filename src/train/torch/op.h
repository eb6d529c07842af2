// The operators that training can run: one row per operator, a function over libtorch tensors that
// autograd differentiates.
#pragma once

#include <torch/torch.h>

#include <span>
#include <string_view>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

class RankGroup;

/// Where the samples of a pass in training stand among those that all ranks see at once.
struct AmongRanks {
  RankGroup* ranks = nullptr;  // null: there are no others
  int64_t before = 0;          // samples of lower ranks
  int64_t own = 0;
  int64_t all = 0;
};

/// How a network is run.
struct TorchMode {
  bool training = false;  // batch statistics, dropout
  uint64_t seed = 0;      // of this node in this step
  AmongRanks among;
};

/// One node being run.
class TorchCall {
 public:
  using Tensors = std::vector<torch::Tensor>;

  TorchCall(const Node& node, int opset, const Tensors& inputs, const TorchMode& mode)
      : node(node), opset(opset), mode(mode), inputs_(inputs) {}

  const Node& node;
  const int opset;
  const TorchMode mode;

  bool has(size_t i) const { return i < inputs_.size() && inputs_[i].defined(); }
  size_t count() const { return inputs_.size(); }
  const Tensors& inputs() const { return inputs_; }
  const torch::Tensor& in(size_t i) const;
  /// An integer input as numbers; empty if it was left out.
  std::vector<int64_t> integers(size_t i) const;
  /// A list that older opsets hold in attribute `name` and newer ones in input i.
  std::vector<int64_t> attribute_or_input(std::string_view name, size_t i) const;
  /// Attribute `name` as an axis in [0, rank) of input 0.
  int64_t axis(std::string_view name, int64_t fallback) const;

 private:
  const Tensors& inputs_;
};

struct TorchOpRow {
  std::string_view name;
  std::vector<torch::Tensor> (*run)(const TorchCall&);
  /// Its slope is infinite at numbers where it has a value, such as that of a root at 0: no
  /// gradient is passed on from there.
  bool singular = false;
};
inline constexpr bool kSingular = true;

/// What the row computes, with gradients that are finite as far as those behind it are.
std::vector<torch::Tensor> run_torch_op(const TorchOpRow& row, const Node& node, int opset,
                                        const TorchCall::Tensors& inputs, const TorchMode& mode);

std::span<const TorchOpRow> torch_function_ops();
std::span<const TorchOpRow> torch_index_ops();
std::span<const TorchOpRow> torch_math_ops();
std::span<const TorchOpRow> torch_recurrent_ops();
std::span<const TorchOpRow> torch_reduce_ops();
std::span<const TorchOpRow> torch_layer_ops();
std::span<const TorchOpRow> torch_shape_ops();

/// The row, or nullptr.
const TorchOpRow* find_torch_op(std::string_view op, std::string_view domain);

}  // namespace nibble
