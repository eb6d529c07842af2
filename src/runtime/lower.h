// From a graph to steps: which kernel runs each node, and in which form each value exists.
#pragma once

#include <map>
#include <string>

#include "runtime/executable.h"

namespace nibble {

/// Kernels to be asked before those of the op table, by operator: for tests, and to try a kernel
/// out before it has a row.
using TrialKernels = std::map<std::string, std::vector<KernelRow>>;

/// Asks the kernels of each node's row in order and takes the first that can; those on codes and on
/// packed weights only if the arithmetic is integer. Where none can, or shapes are not known, the
/// row's eval runs. Conversions stand where producer and consumer disagree in form, each made once.
/// The graph has been rewritten and its types inferred.
std::unique_ptr<Executable> lower(Graph graph, const CompileOptions& options, ThreadPool& pool,
                                  const TrialKernels& trials = {});

/// The whole of compile(): checks the operators, infers types, rewrites, lowers.
std::unique_ptr<Executable> build_executable(Graph graph, const CompileOptions& options,
                                             ThreadPool& pool, const TrialKernels& trials = {});

}  // namespace nibble
