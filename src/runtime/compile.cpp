// compile(): the rewrites that make a graph ready to be lowered.
#include <array>

#include "base/check.h"
#include "ops/require_ops.h"
#include "passes/pass.h"
#include "runtime/lower.h"

namespace nibble {
namespace {

// The first one alone if nothing is to be optimized. fold_qdq again: eliminate_identities brings
// pairs together.
constexpr std::array<std::string_view, 11> kPasses = {
    "fold_constants", "inline_branches",  "eliminate_identities", "fold_qdq",
    "fold_batch_norm", "fuse_dynamic",    "fuse_activations",     "fuse_gelu",
    "fuse_layer_norm", "fuse_bias",       "channels_last"};

}  // namespace

std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool, const TrialKernels& trials) {
  require_operators(graph);
  widen_half(graph);
  infer_types(graph, options.input_shapes);
  const std::span<const std::string_view> passes = kPasses;
  run_passes(graph, passes.first(options.optimize ? passes.size() : 1),
             PassControl::from_environment());
  graph.prune();
  graph.validate();
  return lower(std::move(graph), options, pool, trials);
}

}  // namespace nibble
