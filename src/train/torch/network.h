// A graph as a trainable function over libtorch tensors: parameters, running statistics, learned
// quantization scales, and the way back to a graph.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "nibble/graph.h"
#include "train/torch/evaluated.h"
#include "train/torch/fake_quantize.h"
#include "train/torch/folded_norm.h"
#include "train/torch/op.h"
#include "train/torch/pair_limit.h"
#include "train/torch/parameters.h"
#include "train/torch/soft_rounding.h"

namespace nibble {

struct Parameter {
  std::string name;
  std::string of;  // a scale: the value that it is of
  ParameterRole role = ParameterRole::weight;
  torch::Tensor tensor;  // a leaf that requires its gradient
};

class Network {
 public:
  /// What quantized parameters start from, in another graph whose nodes have the same names.
  struct Origin {
    const Graph* graph = nullptr;
    /// The codes stay what they are, however they were rounded: a parameter starts from its real
    /// where that rounds to its code, else as near to it as does. Where the other graph has no
    /// counterpart, from the dequantized codes.
    bool keeps_codes = false;
  };
  /// Parameters are the float or quantized constants that weigh, shift or normalise. Quantized ones
  /// start from their origin if it is given, else from their dequantized codes.
  /// Throws Error{unsupported} naming a node that has no gradient here and lies behind something
  /// that is learned. Nodes that nothing learned leads to, and those that give no reals, are run as
  /// the runtime runs them where there is no row for them.
  /// No learned scale leaves a pair of weights that could saturate in one of `pair_orders`.
  enum class Use : uint8_t {
    training,
    /// The same with a FoldedNorm behind each convolution that can have one, from start_norms() on.
    normalised_training,
    inference,  // of a teacher: nothing is learned
  };
  Network(const Graph& graph, const Origin& origin, torch::Device device, Use use = Use::training,
          std::span<const PairOrder> pair_orders = {});

  struct Mode {
    bool training = false;  // batch statistics (which update the running ones) and dropout
    uint64_t seed = 0;      // of the dropout masks, and of what stays unrounded
    /// The graph's inputs are given as the network is to see them: they are not rounded.
    bool rounded_inputs = false;
    /// This share of each activation's numbers is not rounded.
    double unrounded = 0;
    /// What start_norms() goes by is measured on the way.
    bool measures_norms = false;
    AmongRanks among;  // in training
  };
  /// The values `wanted`, for graph inputs in order. Typed values are fake-quantized.
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& inputs,
                                     std::span<const ValueId> wanted, const Mode& mode);

  /// Multiply-adds of the weighted operators in the last forward pass.
  int64_t multiply_adds() const { return multiply_adds_; }

  const Graph& graph() const { return graph_; }
  bool keeps_pairs_safe() const;
  /// Those of bodies included.
  const std::vector<Parameter>& parameters() const { return all_parameters_; }
  /// An operator with bodies (If), if there is one: which of them runs is each rank's own matter.
  std::optional<NodeId> branching() const;
  /// All that training changes: parameters and running statistics, in a fixed order.
  std::vector<torch::Tensor> state() const;
  void set_state(const std::vector<torch::Tensor>& state);
  /// How this quantized constant is rounded is learned from now on, and its scale is fixed. If
  /// given, `rounded` is what its codes stand for, and learning starts there.
  SoftRounding& soften(const std::string& constant, const torch::Tensor& rounded = {});
  /// Every learned rounding is decided.
  void harden();
  /// Keeps every scale positive and pairs of weights safe; called after each step of the optimizer.
  void project_scales();
  /// How many layers are to be normalised. They are from start_norms() on, which comes after
  /// forward passes that measure; the network computes what it did.
  size_t norms() const { return norms_.size(); }
  void start_norms();
  /// The graph with the present parameters; quantized constants hold codes on the learned scales.
  Graph to_graph() const;

 private:
  /// A body of a node: a network of its own, which captures values of this one by name.
  struct Body {
    NodeId owner;
    std::string attribute;
    std::unique_ptr<Network> network;
  };
  using Names = std::set<std::string>;
  /// What a body sees of the values around it, by name.
  using Around = std::function<torch::Tensor(const std::string&)>;

  Network(const Graph& graph, const Origin& origin, torch::Device device, Use use,
          std::span<const PairOrder> pair_orders, const Names& learned_around);
  /// What shares one set of learned scales: a constant, or activations with the same codes.
  struct Quantizer {
    std::vector<ValueId> values;
    QuantParams params;
    size_t parameter = 0;    // index into parameters_
    torch::Tensor previous;  // the scale before the optimizer's step
    ClampRange range;
    double gradient_scale = 0;  // 0: not known before the first forward pass
  };
  /// A bias of 32 bits: its scale is that of the layer's input times those of the weight.
  struct BiasGrid {
    ValueId bias;
    int input = -1;  // index into quantizers_
    int weight = -1;
  };

  std::vector<torch::Tensor> run(const std::vector<torch::Tensor>& inputs,
                                 std::span<const ValueId> wanted, const Mode& mode,
                                 const Around& around);
  std::vector<torch::Tensor> run_node(NodeId id, const std::vector<torch::Tensor>& arguments,
                                      const Mode& mode, const Around& around);
  std::vector<torch::Tensor> run_branch(const Node& node, NodeId id, bool condition,
                                        const Mode& mode, const Around& around);
  void find_learned(const Origin& origin, std::span<const PairOrder> pair_orders,
                    const Names& learned_around);
  bool needs_gradient(const Node& node) const;
  void find_releases();
  void remember_scales();
  Graph inner_graph() const;
  /// A weight whose pairs must be safe for the codes that the layer's data can take.
  struct SafeWeight {
    ValueId weight;
    ValueId data;
    std::optional<float> greatest;  // number that the data can hold
    PairLimit limit;
  };

  void add_pair_limits(std::span<const PairOrder> orders);
  void widen_scales();
  void add_constants(const Origin& origin);
  void move_within_cells(torch::Tensor& constant, const torch::Tensor& real,
                         const Quantizer& quantizer) const;
  void add_activation_quantizers();
  void add_bias_grids();
  void add_norms();
  /// That which a weight or a bias is folded into now; nullptr if there is none.
  const FoldedNorm* norm_of(ValueId constant) const;
  /// A weight or a bias with what is folded into it.
  torch::Tensor folded(const torch::Tensor& real, ValueId constant) const;
  torch::Tensor folded_scale(const Quantizer& quantizer) const;
  torch::Tensor run_normalised(FoldedNorm& norm, const Node& node,
                               const std::vector<torch::Tensor>& arguments, const Mode& mode);
  Quantizer& quantizer(ValueId value) {
    return quantizers_[static_cast<size_t>(quantizer_of_[static_cast<size_t>(value.index)])];
  }
  int add_quantizer(ValueId value, const QuantParams& params);
  torch::Tensor quantized(ValueId value, const torch::Tensor& real, const Mode& mode);
  torch::Tensor bias_scale(const BiasGrid& grid) const;
  torch::Tensor constant(ValueId value) const;
  void load_constants(std::vector<torch::Tensor>& values, const Mode& mode);

  Graph graph_;
  torch::Device device_;
  int64_t multiply_adds_ = 0;
  Use use_ = Use::training;
  std::vector<Parameter> parameters_;
  std::vector<Parameter> all_parameters_;
  std::vector<Body> bodies_;
  std::vector<bool> learned_;  // by value: reals that depend on a parameter
  std::map<NodeId, Evaluated> evaluated_;
  std::vector<torch::Tensor> statistics_;  // of batch normalisations
  std::vector<ValueId> statistics_values_;
  std::vector<torch::Tensor> constants_;  // by value: parameters and all other constants
  std::map<ValueId, SoftRounding> soft_;  // of constants
  std::vector<Quantizer> quantizers_;
  std::vector<int> quantizer_of_;      // by value; -1: none
  std::vector<bool> already_on_grid_;  // by value: same codes as the node's input
  std::vector<BiasGrid> bias_grids_;
  std::map<NodeId, FoldedNorm> norms_;
  bool norms_started_ = false;
  std::vector<SafeWeight> safe_weights_;
  std::vector<std::vector<ValueId>> released_after_;  // by node: values nobody reads later
};

}  // namespace nibble
