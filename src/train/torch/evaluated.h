// A node that training runs as the runtime does: there is nothing to learn through it.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "nibble/graph.h"
#include "nibble/runtime.h"

namespace nibble {

class Evaluated {
 public:
  /// `node` of `graph`.
  Evaluated(const Graph& graph, const Node& node);

  /// The values that the node reads (inputs and captures), each once.
  const std::vector<ValueId>& reads() const { return reads_; }
  /// One argument for each of reads().
  std::vector<torch::Tensor> run(const std::vector<torch::Tensor>& arguments, torch::Device device);

 private:
  std::vector<ValueId> reads_;
  Graph alone_;  // of the node
  std::unique_ptr<Program> program_;
};

}  // namespace nibble
