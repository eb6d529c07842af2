// A model that is run again and again: what `nibble run` does once.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nibble/graph.h"
#include "nibble/runtime.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What arithmetics are called: "integer", "fake-quantize", "f32", "saturating16".
std::vector<std::pair<std::string, Arithmetic>> arithmetic_names();
/// Throws Error{invalid_argument} for a name that there is not.
Arithmetic arithmetic_named(std::string_view name);

/// Thread-safe: runs at the same time wait for each other.
class Session {
 public:
  Session(std::shared_ptr<const Graph> graph, Arithmetic arithmetic, int threads);

  const Graph& graph() const { return *graph_; }
  /// Every input of the graph must be given, and nothing else. The model is compiled for shapes
  /// that it meets for the first time; the last few programs are kept. The results are the
  /// caller's own. Throws Error{invalid_argument} naming an input that is missing, surplus, or of a
  /// wrong type or shape.
  std::vector<Tensor> run(std::map<std::string, Tensor> inputs);

 private:
  Program& program_for(const std::vector<Tensor>& inputs);

  std::shared_ptr<const Graph> graph_;
  Arithmetic arithmetic_;
  int threads_;
  std::mutex mutex_;
  struct Compiled {
    std::vector<Shape> shapes;
    Program program;
  };
  std::deque<Compiled> programs_;  // most recently used first
};

/// In the order of the graph's inputs. Throws as Session::run() does.
std::vector<Tensor> in_graph_order(const Graph& graph, std::map<std::string, Tensor> inputs);

}  // namespace nibble
#pragma GCC visibility pop
