#include "onnx/proto.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <limits>

#include "base/check.h"

namespace nibble {

bool parse_proto(google::protobuf::MessageLite& message, std::string_view bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return false;
  return message.ParsePartialFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// Deterministic: map fields, if a newer schema has any, are sorted.
std::string serialize_proto(const google::protobuf::MessageLite& message) {
  if (message.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    fail(ErrorCode::unsupported, "the model takes {} bytes; one ONNX file holds at most 2 GiB",
         message.ByteSizeLong());
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace nibble
