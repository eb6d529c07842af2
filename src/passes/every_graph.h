// A model is a tree of graphs: its own, and the bodies of If, Loop and Scan within it. What is done
// to one is done to all of them here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// "loop1/body/": stands before the names of what is in that body of a node of the graph at `path`.
/// The path of the model's own graph is "".
std::string body_path(const std::string& path, const Node& node, const std::string& attribute);

/// Calls visit(graph, path) for the graph and all bodies within it, owners before what they own.
void visit_every_graph(const Graph& graph,
                       const std::function<void(const Graph&, const std::string& path)>& visit);

/// Calls edit(graph, path) for each of them: a body after its owner was edited. Bodies are edited
/// on copies that take their places. Nodes then capture what their bodies still use, and names are
/// valid again (separate_names()). Returns the sum of what edit returns.
int edit_every_graph(Graph& graph, const std::function<int(Graph&, const std::string& path)>& edit);

/// One of the graphs of a model, open for editing.
struct OpenGraph {
  Graph* graph = nullptr;
  std::string path;
  OpenGraph* outer = nullptr;
  NodeId owner;           // in the outer graph; none for the model's own
  std::string attribute;  // of the owner

  /// Where a value that a body captures is computed or constant: its graph, and the value there.
  /// The value itself if it is not captured.
  struct Origin {
    OpenGraph* scope = nullptr;
    ValueId value;
  };
  Origin origin(ValueId value);
};

/// All graphs of a model at once. Nodes with bodies may not be added or taken out meanwhile.
class OpenGraphs {
 public:
  /// close() must be called before the bodies are used through `graph` again.
  explicit OpenGraphs(Graph& graph);
  OpenGraphs(const OpenGraphs&) = delete;
  OpenGraphs& operator=(const OpenGraphs&) = delete;

  /// Owners before what they own; the first is the model's own.
  const std::vector<std::unique_ptr<OpenGraph>>& all() const { return graphs_; }
  /// Puts the edited bodies back, as edit_every_graph() does. `changed`: what nobody reads any more
  /// is pruned.
  void close(bool changed = true);

 private:
  void open(OpenGraph& outer);
  std::vector<std::unique_ptr<OpenGraph>> graphs_;
  std::vector<std::unique_ptr<Graph>> bodies_;
};

/// The value stands for one of a graph around this one.
bool is_free(const Graph& body, ValueId value);

/// Constants that bodies of the graph's own nodes capture become theirs as well (the bytes are
/// shared): what works on one graph then sees them.
void hand_constants_to_bodies(Graph& graph);

/// The inverse, for files: of constants with the same content in several graphs of the model one is
/// left, in the innermost graph that holds all their readers. Small ones stay where they are.
/// Returns the number of constants saved.
int share_constants_of_bodies(Graph& graph);

/// An If whose condition is constant is replaced by its branch, whose nodes get their paths for
/// names. Returns the number of nodes replaced, in all graphs.
int inline_branches(Graph& graph);

/// ONNX demands that a body defines no name that a graph around it defines: its values are renamed.
void separate_names(Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
