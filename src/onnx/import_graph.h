// GraphProto -> Graph, with the bodies of If, Loop and Scan.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "nibble/graph.h"
#include "onnx/proto.h"

namespace nibble {

/// What all graphs of one model file share.
struct ModelContext {
  std::filesystem::path directory;  // of external data; empty: there is none
  std::map<std::string, int64_t> opsets;
};

/// Reads one GraphProto and takes out of it what a Graph holds; what is left becomes the
/// graph's notes. A body's reader knows its outer reader: names that the body does not define are
/// looked up there and become captures.
class GraphReader {
 public:
  explicit GraphReader(const ModelContext& model, GraphReader* outer = nullptr)
      : model_(model), outer_(outer) {}

  /// Once per reader. Throws Error naming the node or tensor at fault.
  Graph read(schema::GraphProto& proto);
  /// Names of the outer graph's values that the graph uses, each once.
  const std::vector<std::string>& captures() const { return captures_; }

 private:
  ValueId define(const std::string& name, std::string_view what);
  ValueId resolve(const std::string& name);
  bool knows(const std::string& name) const;
  void read_initializers(schema::GraphProto& proto);
  void read_initializer(schema::TensorProto& tensor);
  void read_inputs(schema::GraphProto& proto);
  void read_value_info(schema::ValueInfoProto& info, ValueId id);
  void read_node(schema::NodeProto& proto, Node& node);
  void read_attribute(schema::AttributeProto& proto, Node& node);
  Attribute attribute_value(schema::AttributeProto& proto, Node& node);
  Attribute read_body(schema::AttributeProto& proto, Node& node);
  void name_nodes(std::vector<Node>& nodes);

  const ModelContext& model_;
  GraphReader* outer_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> values_;
  std::vector<std::string> captures_;
};

}  // namespace nibble
