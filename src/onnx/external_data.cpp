#include "onnx/external_data.h"

namespace nibble {
namespace {

constexpr size_t kLeast = 1024;  // what is smaller stays where it is
constexpr size_t kAlignment = 64;

void refer(schema::TensorProto& tensor, const char* key, const std::string& value) {
  auto& entry = tensor.external_data.emplace_back();
  entry.key = key;
  entry.value = value;
}

void take_out(schema::GraphProto& graph, const std::string& location, std::string& data) {
  for (schema::TensorProto& tensor : graph.initializer) {
    const std::string_view bytes = tensor.raw_data->view;
    if (bytes.size() < kLeast) continue;
    data.resize((data.size() + kAlignment - 1) / kAlignment * kAlignment);
    const size_t offset = data.size();
    data += bytes;
    tensor.data_location = schema::TensorProto::EXTERNAL;
    refer(tensor, "location", location);
    refer(tensor, "offset", std::to_string(offset));
    refer(tensor, "length", std::to_string(bytes.size()));
    tensor.raw_data.clear();
  }
  for (schema::NodeProto& node : graph.node) {
    for (schema::AttributeProto& attribute : node.attribute) {
      if (attribute.g.has()) take_out(attribute.g.edit(), location, data);
    }
  }
}

}  // namespace

std::string take_out_data(schema::GraphProto& graph, const std::string& location) {
  std::string data;
  take_out(graph, location, data);
  return data;
}

}  // namespace nibble
