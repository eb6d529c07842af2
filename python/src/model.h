// A model as Python holds it: a graph that nobody changes.
#pragma once

#include <memory>

#include "nibble/graph.h"

namespace nibble::python {

using ModelPtr = std::shared_ptr<const Graph>;
struct Model {
  ModelPtr graph;
};

inline Model make_model(Graph graph) { return {std::make_shared<const Graph>(std::move(graph))}; }

}  // namespace nibble::python
