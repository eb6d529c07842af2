#include "onnx/external_data.h"

namespace nibble {
namespace {

constexpr size_t kLeast = 1024;  // what is smaller stays where it is
constexpr size_t kAlignment = 64;

void refer(onnx::TensorProto& tensor, const char* key, const std::string& value) {
  auto& entry = *tensor.add_external_data();
  entry.set_key(key);
  entry.set_value(value);
}

void take_out(onnx::GraphProto& graph, const std::string& location, std::string& data) {
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) {
    const std::string& bytes = tensor.raw_data();
    if (bytes.size() < kLeast) continue;
    data.resize((data.size() + kAlignment - 1) / kAlignment * kAlignment);
    const size_t offset = data.size();
    data += bytes;
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    refer(tensor, "location", location);
    refer(tensor, "offset", std::to_string(offset));
    refer(tensor, "length", std::to_string(bytes.size()));
    tensor.clear_raw_data();
  }
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) take_out(*attribute.mutable_g(), location, data);
    }
  }
}

}  // namespace

std::string take_out_data(onnx::GraphProto& graph, const std::string& location) {
  std::string data;
  take_out(graph, location, data);
  return data;
}

}  // namespace nibble
