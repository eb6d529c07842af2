// The float graph that ranges are measured on and that is quantized.
#include <array>

#include "nibble/ranges.h"
#include "passes/every_graph.h"
#include "passes/pass.h"
#include "ranges/canonical.h"

namespace nibble {
namespace {

// A quantized graph becomes the float graph it stands for.
int drop_quantization(Graph& graph) {
  int dropped = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.type.quant) continue;
    if (value.is_constant()) value.data = dequantize_tensor(value.data, *value.type.quant);
    value.type.quant.reset();
    ++dropped;
  }
  return dropped;
}

int on_every_graph(Graph& graph, int (*rewrite)(Graph&)) {
  return edit_every_graph(graph, [&](Graph& one, const std::string&) { return rewrite(one); });
}

void simplify(Graph& graph) {
  constexpr std::array<std::string_view, 5> kPasses = {
      "widen_half", "infer_types", "fold_constants", "inline_branches", "eliminate_identities"};
  run_passes(graph, kPasses, {.check_each = PassControl::from_environment().check_each});
  graph.prune();
}

}  // namespace

Graph prepare_for_quantization(const Graph& graph) {
  Graph prepared = graph;
  on_every_graph(prepared, drop_quantization);
  simplify(prepared);
  if (fold_batch_independent(prepared) > 0) simplify(prepared);
  if (on_every_graph(prepared, turn_products) > 0) simplify(prepared);
  if (fold_batch_norm(prepared) + on_every_graph(prepared, fold_gemm_factors) +
          on_every_graph(prepared, join_matmul_bias) >
      0) {
    simplify(prepared);
  }
  prepared.validate();
  return prepared;
}

}  // namespace nibble
