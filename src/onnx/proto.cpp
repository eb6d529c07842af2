#include "onnx/proto.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

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

std::vector<std::string> length_delimited_fields(const google::protobuf::MessageLite& message,
                                                 int field) {
  using google::protobuf::internal::WireFormatLite;
  const std::string bytes = serialize_proto(message);
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  std::vector<std::string> found;
  while (const uint32_t tag = in.ReadTag()) {
    const bool wanted =
        WireFormatLite::GetTagFieldNumber(tag) == field &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (!wanted) {
      if (!WireFormatLite::SkipField(&in, tag)) break;
      continue;
    }
    uint32_t length = 0;
    std::string text;
    if (!in.ReadVarint32(&length) || !in.ReadString(&text, static_cast<int>(length))) break;
    found.push_back(std::move(text));
  }
  return found;
}

}  // namespace nibble
