// The bodies of If, Loop and Scan: graphs that are shared between copies of a node, and so are
// copied to be edited.
#include <algorithm>

#include "nibble/graph.h"

namespace nibble {

void edit_bodies(Node& node, const std::function<void(Graph&)>& edit) {
  std::vector<std::pair<std::string, Graph>> bodies;
  for (const auto& [name, attribute] : node.attributes) {
    if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
      bodies.emplace_back(name, **body);
    }
  }
  for (auto& [name, body] : bodies) {
    edit(body);
    node.attributes.set(name, std::make_shared<const Graph>(std::move(body)));
  }
}

void rename_capture(Node& node, std::string_view from, std::string_view to) {
  edit_bodies(node, [&](Graph& body) {
    const auto id = body.find_value(from);
    if (!id || body.value(*id).is_constant() || body.is_input(*id) || body.producer(*id)) return;
    body.value(*id).name = to;
    for (NodeId inner : body.nodes()) {
      if (std::ranges::find(body.node(inner).captures, *id) != body.node(inner).captures.end()) {
        rename_capture(body.node(inner), from, to);
      }
    }
  });
}

}  // namespace nibble
