// TensorProto <-> Tensor: the three ways in which ONNX stores elements (raw bytes, typed lists,
// another file).

#include <array>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "base/file_view.h"
#include "nibble/onnx.h"
#include "onnx/proto.h"

namespace nibble {
namespace {

struct TypeRow {
  int onnx;
  DType dtype;  // undefined: Nibble has no such type
  std::string_view name;
};

constexpr std::array kTypes = {
    TypeRow{1, DType::f32, "FLOAT"},
    TypeRow{2, DType::u8, "UINT8"},
    TypeRow{3, DType::i8, "INT8"},
    TypeRow{4, DType::u16, "UINT16"},
    TypeRow{5, DType::i16, "INT16"},
    TypeRow{6, DType::i32, "INT32"},
    TypeRow{7, DType::i64, "INT64"},
    TypeRow{8, DType::undefined, "STRING"},
    TypeRow{9, DType::boolean, "BOOL"},
    TypeRow{10, DType::f16, "FLOAT16"},
    TypeRow{11, DType::f64, "DOUBLE"},
    TypeRow{12, DType::u32, "UINT32"},
    TypeRow{13, DType::u64, "UINT64"},
    TypeRow{14, DType::undefined, "COMPLEX64"},
    TypeRow{15, DType::undefined, "COMPLEX128"},
    TypeRow{16, DType::bf16, "BFLOAT16"},
    TypeRow{17, DType::undefined, "FLOAT8E4M3FN"},
    TypeRow{18, DType::undefined, "FLOAT8E4M3FNUZ"},
    TypeRow{19, DType::undefined, "FLOAT8E5M2"},
    TypeRow{20, DType::undefined, "FLOAT8E5M2FNUZ"},
    TypeRow{21, DType::u4, "UINT4"},
    TypeRow{22, DType::i4, "INT4"},
    TypeRow{23, DType::undefined, "FLOAT4E2M1"},
    TypeRow{24, DType::undefined, "FLOAT8E8M0"},
    TypeRow{25, DType::u2, "UINT2"},
    TypeRow{26, DType::i2, "INT2"},
    TypeRow{27, DType::undefined, "FLOAT6E2M3"},
    TypeRow{28, DType::undefined, "FLOAT6E3M2"},
};

const TypeRow& type_row(int data_type) {
  for (const TypeRow& row : kTypes) {
    if (row.onnx == data_type) return row;
  }
  fail(ErrorCode::invalid_model, "element type {} is not one that ONNX defines", data_type);
}

// ONNX dimensions, with a bound on the number of bytes that is checked before anything is
// allocated.
Shape shape_of(const schema::TensorProto& proto, DType dtype) {
  for (int64_t dim : proto.dims) {
    if (dim < 0) fail(ErrorCode::invalid_model, "dimension {} is negative", dim);
  }
  const Shape shape(std::span(proto.dims.data(), proto.dims.size()));
  int64_t bits = bits_of(dtype);
  for (int64_t dim : shape) {
    if (__builtin_mul_overflow(bits, dim, &bits)) {
      fail(ErrorCode::invalid_model, "shape {} has more elements than memory can address",
           shape.to_string());
    }
  }
  return shape;
}

size_t byte_count(const Shape& shape, DType dtype) {
  return (static_cast<size_t>(shape.elements()) * static_cast<size_t>(bits_of(dtype)) + 7) / 8;
}

Tensor from_bytes(DType dtype, const Shape& shape, std::string_view bytes) {
  if (bytes.size() != byte_count(shape, dtype)) {
    fail(ErrorCode::invalid_model, "{}{} takes {} bytes, the file holds {}", name_of(dtype),
         shape.to_string(), byte_count(shape, dtype), bytes.size());
  }
  Tensor tensor(dtype, shape);
  if (dtype == DType::boolean) {  // any byte but 0 is true; C++ wants exactly 1
    auto* out = static_cast<uint8_t*>(tensor.raw());
    for (size_t i = 0; i < bytes.size(); ++i) out[i] = bytes[i] != 0;
  } else if (!bytes.empty()) {
    std::memcpy(tensor.raw(), bytes.data(), bytes.size());
  }
  return tensor;
}

// Typed lists: one entry per element, but one per byte for types under 8 bits.
template <typename List>
Tensor from_list(DType dtype, const Shape& shape, const List& list) {
  const bool packed = bits_of(dtype) < 8;
  const size_t wanted = packed ? byte_count(shape, dtype) : static_cast<size_t>(shape.elements());
  if (list.size() != wanted) {
    fail(ErrorCode::invalid_model, "{}{} takes {} entries, the file holds {}", name_of(dtype),
         shape.to_string(), wanted, list.size());
  }
  Tensor tensor(dtype, shape);
  if (packed) {
    auto* out = static_cast<uint8_t*>(tensor.raw());
    for (size_t i = 0; i < list.size(); ++i) out[i] = static_cast<uint8_t>(list[i]);
    return tensor;
  }
  with_type(dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::span<T> out = tensor.data<T>();
    for (size_t i = 0; i < out.size(); ++i) {
      const auto entry = list[i];
      if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
        out[i] = T{static_cast<uint16_t>(entry)};  // the bit pattern
      } else if constexpr (std::is_same_v<T, bool>) {
        out[i] = entry != 0;
      } else {
        out[i] = static_cast<T>(entry);
      }
    }
  });
  return tensor;
}

int64_t parse_number(std::string_view key, std::string_view text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    fail(ErrorCode::invalid_model, "external data: {} '{}' is not a number of bytes", key, text);
  }
  return number;
}

// Resolves `location` below `directory`; neither "..", nor an absolute path, nor a symbolic link
// may lead out of it.
std::filesystem::path external_path(const std::string& location,
                                    const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  if (directory.empty()) {
    fail(ErrorCode::io, "its data is in the file '{}', but the model was not read from a folder",
         location);
  }
  std::error_code error;
  const fs::path root = fs::weakly_canonical(directory, error);
  const fs::path path = fs::weakly_canonical(root / location, error);
  const fs::path relative = path.lexically_relative(root);
  if (location.empty() || relative.empty() || *relative.begin() == ".." ||
      fs::path(location).is_absolute()) {
    fail(ErrorCode::invalid_model, "external data: '{}' lies outside the model's folder", location);
  }
  return path;
}

Tensor from_external(const schema::TensorProto& proto, DType dtype, const Shape& shape,
                     const std::filesystem::path& directory) {
  std::string location;
  int64_t offset = 0;
  int64_t length = -1;
  for (const auto& entry : proto.external_data) {
    if (*entry.key == "location") location = *entry.value;
    if (*entry.key == "offset") offset = parse_number("offset", *entry.value);
    if (*entry.key == "length") length = parse_number("length", *entry.value);
  }
  const std::filesystem::path path = external_path(location, directory);
  const auto wanted = static_cast<int64_t>(byte_count(shape, dtype));
  if (length < 0) length = wanted;
  std::error_code error;
  const auto file_size = static_cast<int64_t>(std::filesystem::file_size(path, error));
  if (error)
    fail(ErrorCode::io, "cannot read external data '{}': {}", path.string(), error.message());
  if (length != wanted || offset > file_size || length > file_size - offset) {
    fail(ErrorCode::invalid_model,
         "external data '{}': {}{} takes {} bytes, the model names bytes {} to {}+{} of {}",
         path.string(), name_of(dtype), shape.to_string(), wanted, offset, offset, length,
         file_size);
  }
  return from_bytes(dtype, shape, read_file_range(path, offset, length));
}

Tensor from_typed_lists(const schema::TensorProto& proto, DType dtype, const Shape& shape) {
  switch (dtype) {
    case DType::f32:
      return from_list(dtype, shape, proto.float_data);
    case DType::f64:
      return from_list(dtype, shape, proto.double_data);
    case DType::i64:
      return from_list(dtype, shape, proto.int64_data);
    case DType::u32:
    case DType::u64:
      return from_list(dtype, shape, proto.uint64_data);
    default:
      return from_list(dtype, shape, proto.int32_data);
  }
}

}  // namespace

std::optional<DType> dtype_from_onnx(int data_type) {
  const DType dtype = type_row(data_type).dtype;
  return dtype == DType::undefined ? std::nullopt : std::optional(dtype);
}

int onnx_data_type(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype && dtype != DType::undefined) return row.onnx;
  }
  check(false, "an undefined element type has no ONNX number");
  return 0;
}

std::string_view onnx_type_name(int data_type) { return type_row(data_type).name; }

std::optional<Tensor> tensor_from_proto(const schema::TensorProto& proto,
                                        const std::filesystem::path& directory) {
  const std::optional<DType> dtype = dtype_from_onnx(*proto.data_type);
  if (!dtype) return std::nullopt;
  if (proto.segment.has()) fail(ErrorCode::unsupported, "tensors in segments are not supported");
  const Shape shape = shape_of(proto, *dtype);
  if (*proto.data_location == schema::TensorProto::EXTERNAL) {
    return from_external(proto, *dtype, shape, directory);
  }
  if (proto.raw_data.has()) return from_bytes(*dtype, shape, proto.raw_data->view);
  return from_typed_lists(proto, *dtype, shape);
}

void tensor_to_proto(const Tensor& tensor, schema::TensorProto& proto) {
  proto.data_type = onnx_data_type(tensor.dtype());
  proto.dims.assign(tensor.shape().begin(), tensor.shape().end());
  const auto owner = std::make_shared<const Tensor>(tensor);
  proto.raw_data = schema::Bytes{.view = {static_cast<const char*>(owner->raw()), owner->bytes()},
                                 .owner = owner};
}

namespace {

Tensor read_tensor(std::string_view bytes, const std::filesystem::path& directory) {
  schema::TensorProto proto;
  if (!parse_proto(proto, bytes, Elements::refer)) {
    fail(ErrorCode::invalid_data, "this is not an ONNX TensorProto file");
  }
  std::optional<Tensor> tensor = tensor_from_proto(proto, directory);
  if (!tensor) {
    fail(ErrorCode::unsupported, "element type {} is not supported",
         onnx_type_name(*proto.data_type));
  }
  return std::move(*tensor);
}

}  // namespace

Tensor parse_tensor_proto(std::string_view bytes) { return read_tensor(bytes, {}); }

Tensor load_tensor_proto(const std::filesystem::path& path) {
  return with_context([&] { return fmt::format("loading {}", path.string()); },
                      [&] {
                        const std::filesystem::path parent = path.parent_path();
                        return read_tensor(FileView(path).bytes(), parent.empty() ? "." : parent);
                      });
}

void save_tensor_proto(const Tensor& tensor, const std::string& name,
                       const std::filesystem::path& path) {
  schema::TensorProto proto;
  proto.name = name;
  tensor_to_proto(tensor, proto);
  write_file(path, serialize_proto(proto));
}

}  // namespace nibble
