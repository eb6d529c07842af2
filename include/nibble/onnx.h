// ONNX files in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "nibble/graph.h"
#include "nibble/target.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Reads a model (opset 7 to 28; external data beside the file). QuantizeLinear/DequantizeLinear
/// pairs are folded into the types of values. Throws Error naming the file, and the node or tensor
/// at fault.
Graph load_onnx(const std::filesystem::path& path);
/// The same from memory, which may be freed afterwards; external data is looked up in `directory`
/// (none given: Error{io} that names the file it would be in).
Graph parse_onnx(std::string_view bytes, const std::filesystem::path& directory = {});
inline Graph parse_onnx(std::span<const std::byte> bytes,
                        const std::filesystem::path& directory = {}) {
  return parse_onnx(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
                    directory);
}

/// What the file says of itself; of a graph that was not read from a file, what it would say.
struct OnnxOrigin {
  int64_t ir_version = 0;
  std::string producer;  // empty: it does not say
};
OnnxOrigin onnx_origin(const Graph& graph);

/// Writes QDQ form: each quantized value becomes QuantizeLinear -> DequantizeLinear (constants:
/// DequantizeLinear of the integers), valid for the runtime `target`. The opset is raised where a
/// type needs it (int4: 21). The file is complete or untouched. A model of more than 2 GB, which
/// one file cannot hold, gets its constants in a second, "PATH.data". Throws Error{unsupported} for
/// types or operators that the runtime does not have.
void save_onnx(const Graph& graph, const std::filesystem::path& path,
               const Target& target = default_target());
std::string serialize_onnx(const Graph& graph, const Target& target = default_target());

/// ONNX TensorProto files (.pb).
Tensor load_tensor_proto(const std::filesystem::path& path);
Tensor parse_tensor_proto(std::string_view bytes);
void save_tensor_proto(const Tensor& tensor, const std::string& name,
                       const std::filesystem::path& path);

}  // namespace nibble
#pragma GCC visibility pop
