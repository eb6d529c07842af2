// compile(): the rewrites that make a graph ready to be lowered.
#include "ops/require_ops.h"
#include "passes/pass.h"
#include "runtime/lower.h"

namespace nibble {

std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool, const TrialKernels& trials) {
  require_operators(graph);
  infer_types(graph, options.input_shapes);
  fold_constants(graph);
  if (options.optimize) {
    eliminate_identities(graph);
    fold_qdq(graph);  // pairs that an identity kept apart
    fold_batch_norm(graph);
    fuse_activations(graph);
    channels_last(graph);
  }
  graph.prune();
  graph.validate();
  return lower(std::move(graph), options, pool, trials);
}

}  // namespace nibble
