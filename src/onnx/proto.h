// What the numbers of ONNX's messages mean here.
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "nibble/tensor.h"
#include "onnx/wire.h"

namespace nibble {

/// ONNX TensorProto.DataType -> DType; nullopt for the types Nibble has not (string, complex, float
/// of 8 bits and less). Throws Error{invalid_model} for numbers that ONNX does not define.
std::optional<DType> dtype_from_onnx(int data_type);
int onnx_data_type(DType dtype);
/// "FLOAT8E4M3FN": for messages.
std::string_view onnx_type_name(int data_type);

/// The tensor. External data is looked up in `directory`; an empty one means that there is none.
/// nullopt if the element type is one that Nibble has not. Throws Error{invalid_model} or {io}.
std::optional<Tensor> tensor_from_proto(const schema::TensorProto& proto,
                                        const std::filesystem::path& directory);
/// Always as raw_data, which shares the tensor's bytes.
void tensor_to_proto(const Tensor& tensor, schema::TensorProto& proto);

/// That of this name, or the end.
inline auto find_attribute(const std::vector<schema::AttributeProto>& all, std::string_view name) {
  return std::ranges::find_if(
      all, [&](const schema::AttributeProto& attribute) { return *attribute.name == name; });
}

}  // namespace nibble
