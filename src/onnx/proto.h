// ONNX's own schema (protobuf), and what its numbers mean here. Element types newer than the
// schema of the installed library come as plain numbers.
#pragma once

#define ONNX_ML  // the schema with functions, sequences and training information
#include <onnx/onnx_pb.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/tensor.h"

namespace nibble {

/// ONNX TensorProto.DataType -> DType; nullopt for the types Nibble has not (string, complex, float
/// of 8 bits and less). Throws Error{invalid_model} for numbers that ONNX does not define.
std::optional<DType> dtype_from_onnx(int data_type);
int onnx_data_type(DType dtype);
/// "FLOAT8E4M3FN": for messages.
std::string_view onnx_type_name(int data_type);

/// The tensor. External data is looked up in `directory`; an empty one means that there is none.
/// nullopt if the element type is one that Nibble has not. Throws Error{invalid_model} or {io}.
std::optional<Tensor> tensor_from_proto(const onnx::TensorProto& proto,
                                        const std::filesystem::path& directory);
/// Always as raw_data.
void tensor_to_proto(const Tensor& tensor, onnx::TensorProto& proto);

/// Parses bytes as `Message`; false if they are none. Prints nothing.
bool parse_proto(google::protobuf::MessageLite& message, std::string_view bytes);
std::string serialize_proto(const google::protobuf::MessageLite& message);
/// What the message holds in its strings, byte strings or messages of this number, in order: also
/// of fields that the installed schema does not know.
std::vector<std::string> length_delimited_fields(const google::protobuf::MessageLite& message,
                                                 int field);

}  // namespace nibble
