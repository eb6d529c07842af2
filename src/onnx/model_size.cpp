#include "onnx/model_size.h"

#include <set>
#include <string>

#include "base/file.h"
#include "base/file_view.h"
#include "onnx/proto.h"

namespace nibble {
namespace {

using Locations = std::set<std::string>;

void add(const schema::TensorProto& tensor, Locations& locations) {
  for (const auto& entry : tensor.external_data) {
    if (*entry.key == "location") locations.insert(*entry.value);
  }
}

void add(const schema::GraphProto& graph, Locations& locations);

void add(const std::vector<schema::NodeProto>& nodes, Locations& locations) {
  for (const auto& node : nodes) {
    for (const auto& attribute : node.attribute) {
      add(*attribute.t, locations);
      add(*attribute.g, locations);
      for (const auto& tensor : attribute.tensors) add(tensor, locations);
      for (const auto& graph : attribute.graphs) add(graph, locations);
    }
  }
}

void add(const schema::GraphProto& graph, Locations& locations) {
  for (const auto& tensor : graph.initializer) add(tensor, locations);
  add(graph.node, locations);
}

}  // namespace

std::optional<uint64_t> size_of_model(const std::filesystem::path& path) {
  std::optional<uint64_t> total = size_of_file(path);
  schema::ModelProto model;
  if (!total) return total;
  const FileView file(path);
  if (!parse_proto(model, file.bytes(), Elements::refer)) return total;
  Locations locations;
  add(*model.graph, locations);
  for (const auto& function : model.functions) add(function.node, locations);
  for (const std::string& location : locations) {
    const std::optional<uint64_t> bytes = size_of_file(path.parent_path() / location);
    if (!bytes) return std::nullopt;
    *total += *bytes;
  }
  return total;
}

}  // namespace nibble
