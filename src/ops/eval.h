// What an operator is given when its types are inferred and when it runs: by its eval, or by a
// kernel made for known types.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

namespace detail {
[[noreturn]] void fail_missing(std::string_view what, size_t i, size_t count);
}  // namespace detail

/// What an operator is told when types are inferred, and when a kernel is prepared for known types.
class NodeTypes {
 public:
  NodeTypes(const Node& node, int opset, std::span<const TensorType> inputs,
            std::span<const Tensor> constants)
      : node(node), opset(opset), inputs_(inputs), constants_(constants) {}

  const Node& node;
  const int opset;

  size_t input_count() const { return inputs_.size(); }
  /// False for an optional input that was left out.
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i].dtype != DType::undefined; }
  /// Throws Error{invalid_model} if the node has no input `i`.
  const TensorType& input(size_t i) const {
    if (i >= inputs_.size()) detail::fail_missing("input", i, inputs_.size());
    return inputs_[i];
  }
  const Shape& shape(size_t i) const { return input(i).shape; }
  /// The value of input i if it is known now (a constant, or folded); else nullptr. In real
  /// numbers, unless a kernel asked for another form (KernelRow).
  const Tensor* constant(size_t i) const {
    return i < constants_.size() && !constants_[i].empty() ? &constants_[i] : nullptr;
  }

 private:
  std::span<const TensorType> inputs_;
  std::span<const Tensor> constants_;
};

/// Runs a subgraph of the node being evaluated (If, Loop, Scan). Implemented by the runtime.
class SubgraphRunner {
 public:
  virtual ~SubgraphRunner() = default;
  virtual std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) = 0;
};

/// One evaluation: inputs in, outputs out.
class EvalContext {
 public:
  EvalContext(const Node& node, int opset, std::span<const Tensor> inputs,
              std::span<Tensor> outputs, ThreadPool& pool)
      : node(node), opset(opset), pool(pool), inputs_(inputs), outputs_(outputs) {}

  const Node& node;
  const int opset;
  ThreadPool& pool;
  SubgraphRunner* subgraphs = nullptr;
  void* workspace = nullptr;  // Kernel::workspace_bytes() bytes, 64-byte aligned

  size_t input_count() const { return inputs_.size(); }
  bool has(size_t i) const { return i < inputs_.size() && !inputs_[i].empty(); }
  /// Throws Error{invalid_model} if the node has no input `i`.
  const Tensor& input(size_t i) const {
    if (i >= inputs_.size()) detail::fail_missing("input", i, inputs_.size());
    return inputs_[i];
  }
  size_t output_count() const { return outputs_.size(); }
  /// False for an optional output that nobody wants.
  bool wants(size_t i) const {
    return i < node.outputs.size() && static_cast<bool>(node.outputs[i]);
  }
  /// Output i with this type: the buffer that the memory plan holds for it if the type is the
  /// planned one (contents then undefined), else a new one.
  Tensor& output(size_t i, DType dtype, const Shape& shape);
  /// Output i as an existing tensor (shares the bytes where the plan allows it, else copies).
  void set_output(size_t i, const Tensor& tensor);

 private:
  std::span<const Tensor> inputs_;
  std::span<Tensor> outputs_;
};

/// A node prepared for known input types: packed weights, built oneDNN primitives, tables. run() is
/// const, allocates nothing, and finds its outputs allocated.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void run(EvalContext& context) const = 0;
  virtual size_t workspace_bytes() const { return 0; }
  /// Output 0 may lie in the memory of input `i`, if both have as many bytes: run() has read an
  /// element's operands before it writes that element, and reads none again.
  virtual bool in_place(size_t /*i*/) const { return false; }
  /// Bytes of packed weights, tables and the like that the kernel holds.
  virtual size_t constant_bytes() const { return 0; }
  /// Of kernels that multiply: what their products are of. f32, i8 (of bytes, whatever their signs)
  /// or i16.
  virtual DType multiplies() const { return DType::f32; }
  /// For profiles and tests: "conv int8 avx512vnni 3x3", "oneDNN f32 ...".
  virtual std::string describe() const = 0;
};

}  // namespace nibble
#pragma GCC visibility pop
