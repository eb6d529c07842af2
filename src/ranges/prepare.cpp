// The float graph that ranges are measured on and that is quantized.
#include <array>

#include "nibble/ranges.h"
#include "passes/pass.h"
#include "ranges/canonical.h"

namespace nibble {
namespace {

// A quantized graph becomes the float graph it stands for.
void drop_quantization(Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.type.quant) continue;
    if (value.is_constant()) value.data = dequantize_tensor(value.data, *value.type.quant);
    value.type.quant.reset();
  }
}

void simplify(Graph& graph) {
  constexpr std::array<std::string_view, 4> kPasses = {"widen_half", "infer_types",
                                                       "fold_constants", "eliminate_identities"};
  run_passes(graph, kPasses, {.check_each = PassControl::from_environment().check_each});
  graph.prune();
}

}  // namespace

Graph prepare_for_quantization(const Graph& graph) {
  Graph prepared = graph;
  drop_quantization(prepared);
  simplify(prepared);
  if (fold_batch_independent(prepared) > 0) simplify(prepared);
  if (turn_products(prepared) > 0) simplify(prepared);
  if (fold_batch_norm(prepared) + fold_gemm_factors(prepared) + join_matmul_bias(prepared) > 0) {
    simplify(prepared);
  }
  prepared.validate();
  return prepared;
}

}  // namespace nibble
