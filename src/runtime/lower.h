// From a graph to steps: which kernel runs each node, and in which physical form each value exists.
#pragma once

#include "runtime/executable.h"

namespace nibble {

/// Chooses for each node, in this order: an integer kernel, if the arithmetic is integer and the
/// `integer` column takes the types at hand; a prepared kernel; the op's eval. Conversions stand
/// where producer and consumer disagree, each made once. The graph has been rewritten and its types
/// inferred.
std::unique_ptr<Executable> lower(Graph graph, const CompileOptions& options, ThreadPool& pool);

/// The whole of compile(): checks the operators, infers types, rewrites, lowers.
std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool);

}  // namespace nibble
