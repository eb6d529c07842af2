#include <array>

#include "passes/every_graph.h"
#include "passes/pass.h"

namespace nibble {
namespace {

int run_infer_types(Graph& graph) {
  infer_types(graph);
  return 0;
}

constexpr std::array kPasses = {
    PassRow{"infer_types", run_infer_types, "types of values from the types of inputs"},
    PassRow{"widen_half", widen_half, "f16 and bf16 into f32, but at inputs and outputs"},
    PassRow{"fold_constants", fold_constants, "evaluates what depends on constants only"},
    PassRow{"inline_branches", inline_branches, "an If of a known condition into its branch"},
    PassRow{"eliminate_identities", eliminate_identities, "removes nodes that change nothing"},
    PassRow{"fold_batch_norm", fold_batch_norm, "BatchNormalization into weights and bias"},
    PassRow{"fold_qdq", fold_qdq, "QuantizeLinear and DequantizeLinear into types"},
    PassRow{"insert_qdq", insert_qdq, "types into QuantizeLinear and DequantizeLinear"},
    PassRow{"fuse_dynamic", fuse_dynamic, "layers of dynamic quantization into one node each"},
    PassRow{"fuse_activations", fuse_activations, "Relu and Clip into the layer before"},
    PassRow{"fuse_gelu", fuse_gelu, "GELU in several nodes into one"},
    PassRow{"fuse_layer_norm", fuse_layer_norm,
            "layer normalization, and the sum before it, into one node"},
    PassRow{"fuse_attention", fuse_attention, "attention between codes into one node"},
    PassRow{"fuse_bias", fuse_bias, "a bias into the matrix product before it"},
    PassRow{"channels_last", channels_last, "spatial operators run channels last"},
};

}  // namespace

std::span<const PassRow> pass_table() { return kPasses; }

}  // namespace nibble
