// The op table: everything Nibble knows about an operator stands in one row.
// Rows are defined beside the operator (ops/elementwise/unary.cpp, ops/convolution/conv.cpp, ...)
// and gathered in op_table.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

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
  /// The value of input i if it is known now (a constant, or folded); else nullptr. Reals are
  /// already dequantized unless the row's integer kernel asked for codes (KernelSpec).
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
  /// For profiles and tests: "conv int8 avx512vnni 3x3", "oneDNN f32 ...".
  virtual std::string describe() const = 0;
};

/// For prepare functions: the types again, plus those of the outputs, and how many threads will run
/// it. In the `prepare` column no type has `quant`, and constants are reals. In the `integer`
/// column
///  * an activation whose type has `quant` lies in memory as u8 codes with exactly these parameters
///    (storage u8: see ops/support/codes.h), one without lies there as its dtype; outputs likewise;
///  * a constant whose type has `quant` is given as integers of quant->storage, and those of
///  weighted
///    operators (inputs 1 and up) are not given to run() again: the kernel packs what it needs.
struct KernelSpec {
  const NodeTypes& types;
  std::span<const TensorType> outputs;
  int threads = 1;
  /// Where the `integer` column may say why it has no kernel; shown in profiles.
  std::string* why_not = nullptr;

  /// nullptr, with the reason left in *why_not.
  std::nullptr_t refuse(std::string_view reason) const {
    if (why_not != nullptr) *why_not = reason;
    return nullptr;
  }
};

/// A column of the op table: a function, or the reason why there is none.
template <typename Signature>
struct Column {
  Signature* function = nullptr;
  std::string_view reason;  // why function is nullptr

  constexpr Column() : reason("not decided") {}
  constexpr Column(Signature* f) : function(f) {}          // NOLINT: implicit on purpose
  constexpr Column(std::string_view why) : reason(why) {}  // NOLINT
  constexpr Column(const char* why) : reason(why) {}       // NOLINT
  explicit constexpr operator bool() const { return function != nullptr; }
};

/// Output types from input types. Unknown dimensions and ranks are legal in and out; a wrong
/// combination throws Error{invalid_model}. One entry per node output.
using InferSignature = std::vector<TensorType>(const NodeTypes&);
/// Any input types, any shapes.
using EvalSignature = void(EvalContext&);
/// Static input types. nullptr if this combination of types has no such kernel (the row's eval is
/// used then).
using PrepareSignature = std::unique_ptr<Kernel>(const KernelSpec&);

/// What quantization does to the operator.
enum class QuantRole : uint8_t {
  none,          // stays in float
  weighted,      // input 0 data, input 1 weight, input 2 bias: Conv, Gemm, MatMul, ...
  arithmetic,    // integers in, integers out, each with its own parameters: Add, Mul, AveragePool,
                 // Concat, ...
  table,         // one 8-bit input, a pure function of it: Sigmoid, HardSwish, ...
  same_codes,    // moves or selects codes, output parameters = input parameters: Reshape, MaxPool,
                 // Slice, ...
  opaque_codes,  // already integer arithmetic by its definition: QLinearConv, MatMulInteger, ...
};

/// How training differentiates it (the torch side is in train/).
enum class Gradient : uint8_t { autograd, none };

/// What the channels-last pass may do.
enum class LayoutRole : uint8_t {
  fixed,    // axes have a meaning that the pass does not know
  spatial,  // [N,C,spatial...]; runs channels last when it has the attribute nibble_channels_last =
            // 1
  elementwise,  // any layout, if all operands have the same
  concat,       // any layout, after translating the attribute `axis`
};

struct OpRow {
  std::string_view name;
  std::string_view domain = "";
  int min_inputs = 1;
  int max_inputs = 1;  // -1: any number
  int min_outputs = 1;
  int max_outputs = 1;  // -1: any number
  Column<InferSignature> infer;
  Column<EvalSignature>
      eval;  // float (and the op's own integer types); "see prepare" where that covers all types
  Column<PrepareSignature> prepare;  // the same results, faster, for known types
  Column<PrepareSignature> integer;  // quantized inputs and outputs as integer codes
  QuantRole quant = QuantRole::none;
  Gradient gradient = Gradient::none;
  LayoutRole layout = LayoutRole::fixed;
  double tolerance = 1e-5;  // relative, of f32 results against a reference
};

/// The row, or nullptr.
const OpRow* find_op(std::string_view op, std::string_view domain);
/// The row; throws Error{unsupported} naming the op, the node, the opset and what is supported.
const OpRow& require_op(const Node& node, int opset);
/// Throws Error{invalid_model} if the node has fewer inputs or outputs than the operator needs,
/// more than it knows, or leaves a required input out.
void check_arity(const Node& node, const OpRow& row);
/// All rows, sorted by name.
std::span<const OpRow> op_table();

}  // namespace nibble
#pragma GCC visibility pop
