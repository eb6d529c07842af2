// ONNX files in and out.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Reads a model (opset 7 to 28; external data beside the file). QuantizeLinear/DequantizeLinear
/// pairs are folded into the types of values. Throws Error naming the file, and the node or tensor
/// at fault.
Graph load_onnx(const std::filesystem::path& path);
/// The same from memory; external data is looked up in `directory`.
Graph parse_onnx(std::string_view bytes, const std::filesystem::path& directory = {});

/// The runtime that an exported file must be valid for.
enum class Target : uint8_t { onnxruntime, openvino, tensorrt };

/// Writes QDQ form: each quantized value becomes QuantizeLinear -> DequantizeLinear (constants:
/// DequantizeLinear of the integers). The opset is raised where a type needs it (int4: 21). The
/// file is complete or untouched.
void save_onnx(const Graph& graph, const std::filesystem::path& path,
               Target target = Target::onnxruntime);
std::string serialize_onnx(const Graph& graph, Target target = Target::onnxruntime);

/// ONNX TensorProto files (.pb).
Tensor load_tensor_proto(const std::filesystem::path& path);
Tensor parse_tensor_proto(std::string_view bytes);
void save_tensor_proto(const Tensor& tensor, const std::string& name,
                       const std::filesystem::path& path);

}  // namespace nibble
#pragma GCC visibility pop
