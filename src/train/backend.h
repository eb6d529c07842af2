// The door between libnibble and libnibble_train.so: the library that links libtorch is loaded by
// the first call that needs it, and is reached through one C function that compares versions.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/train.h"
#include "train/reconstruction.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What fake quantization does to a tensor and to gradients.
struct FakeQuantized {
  Tensor output;
  Tensor input_gradient;
  Tensor scale_gradient;  // one entry per scale
};

class TrainBackend {
 public:
  virtual ~TrainBackend() = default;

  virtual TrainResult train(const Graph& graph, const Dataset& training, const Dataset& validation,
                            const TrainOptions& options) const = 0;
  /// `float_graph` may be null; else it has the nodes of `graph` by name.
  virtual TrainResult train_quantized(const Graph& graph, const Graph* float_graph,
                                      const Dataset& training, const Dataset& validation,
                                      const TrainOptions& options) const = 0;
  /// The graph's outputs as inference computes them in libtorch: the forward pass that training
  /// differentiates. Typed values are fake-quantized.
  virtual std::vector<Tensor> forward(const Graph& graph, std::span<const Tensor> inputs) const = 0;
  /// Whether forward passes can hold this operator.
  virtual bool runs(std::string_view op, std::string_view domain) const = 0;
  /// Gradients of the sum over all real outputs of output * upstream with respect to the inputs; an
  /// empty tensor where no path of real numbers leads from the input to an output.
  virtual std::vector<Tensor> gradients(const Graph& graph, std::span<const Tensor> inputs,
                                        std::span<const Tensor> upstream) const = 0;
  /// Forward and backward pass of one fake quantization, `upstream` being the gradient of its
  /// output. `params` scales are the learned step sizes.
  virtual FakeQuantized fake_quantize(const Tensor& input, const QuantParams& params,
                                      const Tensor& upstream) const = 0;
  /// The block (graph_of_block() of a quantized network) with learned codes, biases and scales of
  /// activations. `real` is the float network, which has the block's nodes by name. Throws
  /// Error{unsupported} for an operator without a gradient.
  virtual Graph reconstruct(const Graph& block, const Graph& real, const BlockToLearn& task,
                            const ReconstructionOptions& options) const = 0;
  /// See join_ranks().
  virtual std::shared_ptr<Ranks> join(const RankPlace& place) const = 0;
  /// "libtorch 1.13.1, CPU", or "CPU and CUDA" where there is a device.
  virtual std::string describe() const = 0;
};

/// Loads the backend on the first call: the library that the finder names, else libnibble_train.so
/// beside libnibble.so, else on the loader's path. Throws Error{unsupported} with a hint how to
/// install it. Thread-safe.
const TrainBackend& train_backend();

/// Asked once, when training is first wanted, for the path of a libnibble_train whose libtorch is
/// ready to be loaded; empty where it knows none. What it throws is thrown on.
using TrainLibraryFinder = std::string (*)();
/// For programs that bring a libtorch of their own along, as Python's torch. Before training.
void set_train_library_finder(TrainLibraryFinder finder);

}  // namespace nibble

/// Exported by libnibble_train.so. Null unless `version` is the one that it was built with: what
/// crosses the door may differ between versions.
extern "C" const nibble::TrainBackend* nibble_train_backend(const char* version);
#pragma GCC visibility pop
