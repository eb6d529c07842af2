// Graph rewrites. Each pass takes a graph that validates and leaves one that does.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Fills in the type of every value that the inputs determine. Shapes already declared must agree.
void infer_types(Graph& graph);
/// As above after giving the inputs these shapes.
void infer_types(Graph& graph, const std::map<std::string, Shape>& input_shapes);

/// f16 and bf16 become f32 everywhere but at inputs and outputs of the graph, which keep their
/// types by a Cast. Returns the number of values, 0 where there was nothing to widen.
int widen_half(Graph& graph);

/// Evaluates what depends on constants only (and Shape of known shapes). DequantizeLinear of a
/// constant is not folded: it is what makes a constant quantized. Returns the number of nodes
/// folded, likewise below.
int fold_constants(Graph& graph);
/// BatchNormalization after Conv, ConvTranspose or Gemm goes into its weights and bias.
int fold_batch_norm(Graph& graph);
/// QuantizeLinear/DequantizeLinear pairs and DequantizeLinear of constants become types. What
/// cannot be folded stays.
int fold_qdq(Graph& graph);
/// The inverse, for export.
int insert_qdq(Graph& graph);
/// Identity, Dropout at inference, Cast to the same type, Reshape to the same shape and the like.
int eliminate_identities(Graph& graph);
/// DynamicQuantizeLinear, the integer product behind it and its scaling become one node; for
/// compile only.
int fuse_dynamic(Graph& graph);
/// Relu and Clip go into the preceding Conv, Gemm or Add as Node::clamp; for compile only.
int fuse_activations(Graph& graph);
/// GELU written in several nodes becomes one; for compile only, as the following.
int fuse_gelu(Graph& graph);
/// Layer normalization written in several nodes becomes one, and takes in a sum before it.
int fuse_layer_norm(Graph& graph);
/// Attention between codes becomes one node; for compile to run on codes only.
int fuse_attention(Graph& graph);
/// MatMul by a constant and the bias added to it become a Gemm between views.
int fuse_bias(Graph& graph);
/// Spatial operators run channels last; Transpose nodes at the borders only; for compile only.
int channels_last(Graph& graph);

struct PassRow {
  std::string_view name;
  int (*run)(Graph&);
  std::string_view purpose;
};
std::span<const PassRow> pass_table();

/// How a sequence of passes is run, to find the one that spoils a graph: checking shows which one
/// leaves a graph that is not valid, stopping early which one changes the result.
struct PassControl {
  bool check_each = false;        // validates, and infers the types of a copy, after each pass
  std::optional<int> stop_after;  // runs only that many of the sequence

  /// From NIBBLE_CHECK_PASSES (1 or 0; 1 in debug builds) and NIBBLE_STOP_AFTER_PASS (a number).
  /// Throws Error{invalid_argument} for other values.
  static PassControl from_environment();
};

/// Runs these passes of the table in order. With checks, what goes wrong in a pass or behind it
/// gets the context "pass 3 (fold_batch_norm)". Returns the sum of what the passes return.
int run_passes(Graph& graph, std::span<const std::string_view> names, const PassControl& control);

}  // namespace nibble
#pragma GCC visibility pop
