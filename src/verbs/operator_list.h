// Which operators of the runtime a model needs: for programs that carry the runtime in them, and no
// more of it than that.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "nibble/graph.h"
#include "verbs/json.h"

#pragma GCC visibility push(default)
namespace nibble {

struct OperatorList {
  std::set<std::string> operators;  // of the models as they are read
  /// Families of ops/families.h: of those operators, and of what compiling and running the models
  /// asked for besides. Of what this process asked for before, too.
  std::vector<std::string> families;
};

/// Compiles the models and runs each once, on zeros; open dimensions are 1. Where that does not run
/// (the zeros are no indices that it takes), what only running asks for may be missing.
OperatorList list_operators(std::span<const Graph> models);

/// A C++ source file: linked with the archive of the runtime, it makes the linker take these
/// families alone.
std::string as_source(const OperatorList& list);
Json to_json(const OperatorList& list);

}  // namespace nibble
#pragma GCC visibility pop
