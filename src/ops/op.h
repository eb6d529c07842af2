// The op table: everything Nibble knows about an operator stands in one row.
// Rows are defined beside the operator (ops/elementwise/unary.cpp, ops/convolution/conv.cpp, ...)
// and gathered in op_table.cpp.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "nibble/graph.h"
#include "ops/form.h"

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
  /// For profiles and tests: "conv int8 avx512vnni 3x3", "oneDNN f32 ...".
  virtual std::string describe() const = 0;
};

/// What a kernel is made for: the node, its types and constants, and the forms of its operands, as
/// its row asked for them (KernelRow). The dtypes are those in memory; the types of the outputs
/// still say which grid the graph wants. Not the number of threads: no result may depend on it.
struct KernelSpec {
  const NodeTypes& types;
  std::span<const TensorType> outputs;
  std::span<const Form> input_forms = {};   // none: all real
  std::span<const Form> output_forms = {};  // likewise
  /// Where a row may say why it has no kernel; shown in profiles.
  std::string* why_not = nullptr;

  /// The grid of an operand that is no real number; nullptr if it is one.
  const QuantParams* grid(size_t input) const {
    return input < input_forms.size() && input_forms[input].grid ? &*input_forms[input].grid
                                                                 : nullptr;
  }
  const QuantParams* output_grid(size_t output = 0) const {
    return output < output_forms.size() && output_forms[output].grid ? &*output_forms[output].grid
                                                                     : nullptr;
  }
  /// nullptr, with the reason left in *why_not.
  std::nullptr_t refuse(std::string_view reason) const {
    if (why_not != nullptr) *why_not = reason;
    return nullptr;
  }
};

/// The form in which a kernel reads an input.
enum class Reads : uint8_t {
  real,      // real numbers (or whatever the dtype is), constants too
  u8,        // codes of one byte, unsigned
  s8,        // codes of one byte, signed
  u16,       // codes of two bytes, unsigned
  s16,       // codes of two bytes, signed
  as_it_is,  // codes, if the value exists as such, else reals: for operators that move elements
  u8_or_constant,  // u8 codes, or a constant, which is given in real numbers
  weight,     // a quantized constant, packed as it is stored: read when the kernel is made, not
              // given to run()
  parameter,  // a constant or left out, packed if it is quantized; likewise
};

/// The form of a kernel's outputs.
enum class Gives : uint8_t {
  real,
  u8,  // only where the graph wants 8 bits or fewer
  s8,
  u16,
  s16,
  u8_or_real,  // u8 where the graph wants at most 8 bits, else reals
  moved,       // as input 0
};

/// One way to compute an operator. Lowering asks an operator's rows in order and takes the first
/// that makes a kernel; it puts the operands into the forms asked for.
struct KernelRow {
  std::string_view name;
  std::array<Reads, 4> reads{};  // of inputs 0, 1, 2, 3 and further ones
  Gives gives = Gives::real;
  /// nullptr, with a reason in KernelSpec::why_not, if it cannot do this case. All shapes are
  /// known.
  std::unique_ptr<Kernel> (*make)(const KernelSpec&) = nullptr;

  constexpr Reads read(size_t input) const { return reads[input < 4 ? input : 3]; }
  /// It works on integers between quantized values, or on packed weights: not in f32 arithmetic.
  constexpr bool is_quantized() const {
    for (Reads r : reads) {
      if (r != Reads::real && r != Reads::as_it_is) return true;
    }
    return gives != Gives::real && gives != Gives::moved;
  }
};

/// Rows of kernels on real numbers, and of kernels that move elements of any type.
constexpr KernelRow on_reals(std::string_view name,
                             std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name, .make = make};
}
constexpr KernelRow on_elements(std::string_view name,
                                std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name,
          .reads = {Reads::as_it_is, Reads::real, Reads::real, Reads::real},
          .gives = Gives::moved,
          .make = make};
}

/// The kernels of an operator, best first; or why it has none besides its eval.
struct KernelList {
  std::span<const KernelRow> rows;
  std::string_view reason;

  constexpr KernelList() : reason("not decided") {}
  constexpr KernelList(const char* why) : reason(why) {}       // NOLINT: implicit on purpose
  constexpr KernelList(std::string_view why) : reason(why) {}  // NOLINT
  template <size_t N>
  constexpr KernelList(const std::array<KernelRow, N>& list) : rows(list) {}  // NOLINT
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

/// The axes of a weight, of two dimensions and more.
struct WeightAxes {
  int output = 0;     // output channels
  int reduction = 1;  // what is summed over; for convolutions the input channels
  int64_t groups =
      1;  // of a convolution: axis 0 is cut into this many runs; axis 1 counts channels within one
};

/// Which inputs of an operator with a weight are what.
struct WeightRole {
  WeightAxes (*axes)(const Node&, const Shape& weight) = nullptr;  // nullptr: there is no weight
  static constexpr size_t kNone = SIZE_MAX;
  size_t data = 0;
  size_t weight = 1;
  size_t bias = kNone;  // kNone: it takes none
  bool matrix = false;  // a matrix or a batch of them, not a convolution's [O,I,k...] or [I,O,k...]

  explicit constexpr operator bool() const { return axes != nullptr; }
};

/// Whether the node shows the bytes of input 0, of shape `in`, under another shape.
using ViewSignature = bool(const Node&, const Shape& in);
inline bool always_view(const Node&, const Shape&) { return true; }
/// The bounds the node holds its input within; nullopt if they are not known now.
using ClampSignature = std::optional<Clamp>(const Graph&, const Node&);

/// How training differentiates it (the torch side is in train/).
enum class Gradient : uint8_t { autograd, none };

/// What the channels-last pass may do.
enum class LayoutRole : uint8_t {
  fixed,        // axes have a meaning that the pass does not know
  spatial,      // [N,C,spatial...]; runs channels last where Node::channels_last says so
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
      eval;  // float (and the op's own integer types); or the reason why kernels cover all
  KernelList kernels;          // the same, faster, or on codes
  std::string_view why_float;  // why quantization leaves it in float; of rows without a role
  QuantRole quant = QuantRole::none;
  WeightRole weights;  // of weighted operators, and of those that multiply integers
  ViewSignature* view = nullptr;
  /// Of a role same_codes: the node writes a real number of its own among those it moves, which
  /// need not be on their grid. (Zero always is.)
  bool (*writes)(const Node&) = nullptr;
  ClampSignature* clamp = nullptr;  // of Relu and Clip
  bool takes_clamp = false;         // Node::clamp may be set
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
