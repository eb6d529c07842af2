// compile(): the rewrites that make a graph ready to be lowered.
#include <array>
#include <vector>

#include "base/check.h"
#include "ops/require_ops.h"
#include "passes/pass.h"
#include "runtime/lower.h"
#include "runtime/lowering.h"

namespace nibble {
namespace {

// The first one alone if nothing is to be optimized. fold_qdq again: eliminate_identities brings
// pairs together.
constexpr std::array<std::string_view, 12> kPasses = {
    "fold_constants",   "inline_branches", "eliminate_identities",
    "fold_qdq",         "fold_batch_norm", "fuse_dynamic",
    "fuse_activations", "fuse_gelu",       "fuse_layer_norm",
    "fuse_attention",   "fuse_bias",       "channels_last"};

// What works on codes alone is left out where quantized values are reals.
std::vector<std::string_view> passes_of(const CompileOptions& options) {
  if (!options.optimize) return {kPasses[0]};
  std::vector<std::string_view> passes(kPasses.begin(), kPasses.end());
  if (!runs_on_codes(options.arithmetic)) std::erase(passes, "fuse_attention");
  return passes;
}

}  // namespace

std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool, const TrialKernels& trials) {
  require_operators(graph);
  widen_half(graph);
  infer_types(graph, options.input_shapes);
  run_passes(graph, passes_of(options), PassControl::from_environment());
  graph.prune();
  graph.validate();
  return lower(std::move(graph), options, pool, trials);
}

}  // namespace nibble
