#include "data/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "nibble/data.h"

namespace nibble {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct DescrName {
  std::string_view name;  // without the byte order
  DType dtype;
};
constexpr DescrName kDescrs[] = {{"b1", DType::boolean}, {"i1", DType::i8},  {"i2", DType::i16},
                                 {"i4", DType::i32},     {"i8", DType::i64}, {"u1", DType::u8},
                                 {"u2", DType::u16},     {"u4", DType::u32}, {"u8", DType::u64},
                                 {"f2", DType::f16},     {"f4", DType::f32}, {"f8", DType::f64}};

// What follows `'key':` in the header's dictionary.
std::string_view value_of(std::string_view header, std::string_view key) {
  size_t at = header.find("'" + std::string(key) + "'");
  if (at != std::string_view::npos) at = header.find(':', at);
  if (at == std::string_view::npos) {
    fail(ErrorCode::invalid_data, "corrupt .npy header: no '{}'", key);
  }
  header.remove_prefix(at + 1);
  return header.substr(std::min(header.find_first_not_of(' '), header.size()));
}

DType parse_descr(std::string_view value) {
  const std::string_view descr = value.substr(0, value.find_first_of(",}"));
  for (const DescrName& row : kDescrs) {
    const bool byte = bits_of(row.dtype) == 8;
    for (char order : {'<', '|', '='}) {
      if ((order == '|') == byte || order == '=') {
        if (descr == "'" + std::string(1, order) + std::string(row.name) + "'") return row.dtype;
      }
    }
  }
  fail(ErrorCode::invalid_data,
       "the element type {} is not supported (bool, integers and floats, little-endian, are)",
       descr);
}

Shape parse_shape(std::string_view value) {
  const size_t close = value.find(')');
  if (value.empty() || value[0] != '(' || close == std::string_view::npos) {
    fail(ErrorCode::invalid_data, "corrupt .npy header: the shape is not a tuple");
  }
  value = value.substr(1, close - 1);
  Shape shape;
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    std::string_view item = value.substr(0, comma);
    value.remove_prefix(std::min(comma + 1, value.size()));
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    if (item.empty()) continue;
    int64_t extent = -1;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), extent);
    if (error != std::errc() || end != item.data() + item.size() || extent < 0) {
      fail(ErrorCode::invalid_data, "corrupt .npy header: an extent is '{}'", item);
    }
    shape.push_back(extent);
  }
  return shape;
}

size_t data_bytes(const NpyHeader& header) {
  uint64_t bytes = static_cast<uint64_t>(bits_of(header.dtype)) / 8;
  for (int64_t extent : header.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(extent), &bytes)) {
      fail(ErrorCode::invalid_data, "the shape {} is absurd", header.shape.to_string());
    }
  }
  return bytes;
}

// Column-major elements of `size` bytes into row-major order.
void reorder(const uint8_t* from, const Shape& shape, size_t size, uint8_t* to) {
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()));
  for (int64_t element = 0; element < shape.elements(); ++element) {
    int64_t source = 0;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      source = source * shape[axis] + index[static_cast<size_t>(axis)];
    }
    std::memcpy(to + static_cast<size_t>(element) * size, from + static_cast<size_t>(source) * size,
                size);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      if (++index[static_cast<size_t>(axis)] < shape[axis]) break;
      index[static_cast<size_t>(axis)] = 0;
    }
  }
}

Tensor owned(const Bytes& bytes) {
  const Tensor tensor = npy_tensor(bytes.view());
  return tensor.clone();
}

}  // namespace

NpyHeader npy_header(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) {
    fail(ErrorCode::invalid_data, "not a .npy file");
  }
  const bool short_length = bytes[6] == 1;
  const size_t start = short_length ? 10 : 12;
  size_t length = bytes[8] | size_t{bytes[9]} << 8U;
  if (!short_length) length |= size_t{bytes[10]} << 16U | size_t{bytes[11]} << 24U;
  if (bytes[6] < 1 || bytes[6] > 3 || text.size() - start < length) {
    fail(ErrorCode::invalid_data, "corrupt or truncated .npy header");
  }
  const std::string_view dictionary = text.substr(start, length);
  NpyHeader header;
  header.dtype = parse_descr(value_of(dictionary, "descr"));
  header.fortran_order = value_of(dictionary, "fortran_order").starts_with("True");
  header.shape = parse_shape(value_of(dictionary, "shape"));
  header.offset = start + length;
  return header;
}

NpyHeader parse_npy(std::span<const uint8_t> bytes) {
  NpyHeader header = npy_header(bytes);
  if (bytes.size() - header.offset != data_bytes(header)) {
    fail(ErrorCode::invalid_data, "holds {} bytes of data, but {}{} needs {}",
         bytes.size() - header.offset, name_of(header.dtype), header.shape.to_string(),
         data_bytes(header));
  }
  return header;
}

Tensor npy_tensor(std::span<const uint8_t> bytes) {
  const NpyHeader header = parse_npy(bytes);
  const uint8_t* data = bytes.data() + header.offset;
  const size_t size = static_cast<size_t>(bits_of(header.dtype)) / 8;
  const bool aligned = reinterpret_cast<uintptr_t>(data) % size == 0;
  const bool row_major = !header.fortran_order || header.shape.rank() < 2;
  if (aligned && row_major) {
    return Tensor::borrow(header.dtype, header.shape, const_cast<uint8_t*>(data));
  }
  Tensor tensor(header.dtype, header.shape);
  if (row_major) {
    std::memcpy(tensor.raw(), data, tensor.bytes());
  } else {
    reorder(data, header.shape, size, static_cast<uint8_t*>(tensor.raw()));
  }
  return tensor;
}

Tensor load_npy(const std::filesystem::path& path) {
  return with_context([&] { return path.string(); }, [&] { return owned(Bytes::map(path)); });
}

Tensor load_npz(const std::filesystem::path& path, const std::string& entry) {
  return with_context(
      [&] { return path.string(); },
      [&] {
        const Bytes archive = Bytes::map(path);
        const std::vector<ZipEntry> entries = zip_entries(archive.view());
        std::string names;
        for (const ZipEntry& candidate : entries) {
          const bool only = entry.empty() && entries.size() == 1;
          if (only || candidate.name == entry + ".npy" || candidate.name == entry) {
            return with_context([&] { return candidate.name; },
                                [&] { return owned(Bytes(extract(archive.view(), candidate))); });
          }
          names += (names.empty() ? "" : ", ") + candidate.name;
        }
        if (entry.empty()) {
          fail(ErrorCode::invalid_data, "holds {} arrays; name one of: {}", entries.size(), names);
        }
        fail(ErrorCode::invalid_data, "no array '{}' in it; it has: {}", entry, names);
      });
}

std::string npy_bytes(const Tensor& tensor) {
  const DescrName* descr = std::find_if(std::begin(kDescrs), std::end(kDescrs),
                                        [&](const auto& d) { return d.dtype == tensor.dtype(); });
  if (descr == std::end(kDescrs)) {
    fail(ErrorCode::unsupported, "a .npy file cannot hold elements of type {}",
         name_of(tensor.dtype()));
  }
  std::string shape;
  for (int64_t extent : tensor.shape()) shape += std::to_string(extent) + ",";
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                   bits_of(tensor.dtype()) == 8 ? '|' : '<', descr->name, shape);
  // The data starts at a multiple of 64.
  header.append(63 - (kMagic.size() + 4 + header.size()) % 64, ' ');
  header += '\n';
  std::string file(kMagic);
  file += {'\x01', '\x00', static_cast<char>(header.size() & 0xFFU),
           static_cast<char>(header.size() >> 8U)};
  file += header;
  file.append(static_cast<const char*>(tensor.raw()), tensor.bytes());
  return file;
}

void save_npy(const Tensor& tensor, const std::filesystem::path& path) {
  write_file(path, with_context([&] { return path.string(); }, [&] { return npy_bytes(tensor); }));
}

}  // namespace nibble
