// protobuf's wire format: bytes to the messages of schema.h and back.
#pragma once

#include <string>
#include <string_view>

#include "onnx/schema.h"

namespace nibble {

/// What becomes of the elements of tensors: `refer` leaves them where they are in the bytes parsed,
/// which must outlive the message; `copy` does not.
enum class Elements : uint8_t { copy, refer };

/// Parses `bytes` into `message`, which is empty before; false if they are damaged. Messages stand
/// in each other at most 100 deep, as protobuf has it. For all messages that the reader and the
/// writer name: Model, Graph, Node, Attribute, Tensor, ValueInfo.
template <typename M>
bool parse_proto(M& message, std::string_view bytes, Elements elements = Elements::copy);

/// Bytes that serialize_proto() makes.
template <typename M>
size_t proto_size(const M& message);

/// Fields in the order of their numbers, as protobuf writes them.
template <typename M>
std::string serialize_proto(const M& message);

}  // namespace nibble
