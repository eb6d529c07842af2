// The op table: everything Nibble knows about an operator stands in one row.
// Rows are defined beside the operator (ops/elementwise/unary.cpp, ops/convolution/conv.cpp, ...)
// and gathered in op_table.cpp.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "ops/kernel_row.h"

#pragma GCC visibility push(default)
namespace nibble {

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
  size_t second = kNone;  // one more weight with the same axes
  /// The operator reads the weight as reals and computes as before: quantization makes it smaller
  /// in file and memory. Its data stay as they are. (A table of which rows are picked; recurrent
  /// layers.)
  bool stored = false;
  /// It multiplies two activations as well, on the codes of both.
  bool of_activations = false;

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
