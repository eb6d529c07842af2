// compile(): the rewrites that make a graph ready to be lowered.
#include <array>
#include <map>

#include "base/check.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "runtime/lower.h"

namespace nibble {
namespace {

void find_missing(const Graph& graph, std::map<std::string, std::vector<std::string>>& missing) {
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (find_op(node.op, node.domain) == nullptr) {
      missing[node.domain.empty() ? node.op : node.domain + "::" + node.op].push_back(node.name);
    }
    for (const auto& [name, attribute] : node.attributes) {
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
        find_missing(**body, missing);
      }
    }
  }
}

// All operators that Nibble lacks, in one message.
void require_operators(const Graph& graph) {
  std::map<std::string, std::vector<std::string>> missing;
  find_missing(graph, missing);
  if (missing.empty()) return;
  std::string list;
  for (const auto& [op, nodes] : missing) {
    list += fmt::format("{}{} (node '{}'{})", list.empty() ? "" : ", ", op, nodes[0],
                        nodes.size() > 1 ? fmt::format(" and {} more", nodes.size() - 1) : "");
  }
  std::string supported;
  for (const OpRow& row : op_table()) {
    if (row.domain.empty()) supported += (supported.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(ErrorCode::unsupported,
       "the model (opset {}) uses operators that Nibble does not have: {}; it has: {}",
       graph.opset(), list, supported);
}

// The first one alone if nothing is to be optimized. fold_qdq again: eliminate_identities brings
// pairs together.
constexpr std::array<std::string_view, 6> kPasses = {"fold_constants",   "eliminate_identities",
                                                     "fold_qdq",         "fold_batch_norm",
                                                     "fuse_activations", "channels_last"};

}  // namespace

std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool, const TrialKernels& trials) {
  require_operators(graph);
  infer_types(graph, options.input_shapes);
  const std::span<const std::string_view> passes = kPasses;
  run_passes(graph, passes.first(options.optimize ? passes.size() : 1),
             PassControl::from_environment());
  graph.prune();
  graph.validate();
  return lower(std::move(graph), options, pool, trials);
}

}  // namespace nibble
