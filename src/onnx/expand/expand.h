// The table of operators that are read as their parts, and the rewrite.
#pragma once

#include <span>

#include "onnx/expand/expansion.h"

#pragma GCC visibility push(default)
namespace nibble {

/// All rows, by family.
std::span<const ExpansionRow> expansion_table();
/// The row, or nullptr.
const ExpansionRow* find_expansion(std::string_view op, std::string_view domain);

/// Takes apart every operator of the table, in bodies too. Returns the number of nodes. A domain
/// that no node uses any more is forgotten. Throws Error{unsupported} naming the node.
int expand_operators(Graph& graph);

/// The opset that brought an operator which the rows make; 0 for those that every opset read has.
int opset_of_part(std::string_view op);

}  // namespace nibble
#pragma GCC visibility pop
