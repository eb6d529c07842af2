// What is said of operators that the op table does not have.
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// An operator that Nibble lacks, and the nodes that are one, in execution order.
struct MissingOp {
  std::string op;      // "MatMul", "com.microsoft::FusedMatMul"
  std::string domain;  // as the node has it
  std::vector<std::string> nodes;
};
/// Those of the graph and of the bodies (If, Loop, Scan) in it, sorted by operator.
std::vector<MissingOp> missing_ops(const Graph& graph);

/// "com.microsoft::FusedMatMul": how people write an operator of any domain.
std::string full_op_name(std::string_view op, std::string_view domain);
/// The names of the op table that `op` may have been meant to be, or is built on.
std::vector<std::string> nearest_ops(std::string_view op);

/// Throws Error{unsupported} if there are missing_ops(): one sentence that names each with a node
/// and its nearest operators.
void require_operators(const Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
