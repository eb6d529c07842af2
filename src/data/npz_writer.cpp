// Writing .npz files: zip archives of stored .npy files (PKWARE APPNOTE 6.3.10).
#include <zlib.h>

#include <limits>

#include "base/check.h"
#include "data/npy.h"

namespace nibble {
namespace {

void put(std::string& bytes, uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFFU);
}

// What a local header and a directory entry have in common, from the version on.
std::string description(const std::string& name, std::string_view content) {
  const uLong sum = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  std::string bytes;
  put(bytes, 20, 2);      // version needed
  put(bytes, 0x0800, 2);  // names are UTF-8
  put(bytes, 0, 2);       // stored
  put(bytes, 0, 2);       // time, and the date 1980-01-01: the same tensors give the same file
  put(bytes, 0x21, 2);
  put(bytes, sum, 4);
  put(bytes, content.size(), 4);
  put(bytes, content.size(), 4);
  put(bytes, name.size(), 2);
  put(bytes, 0, 2);  // extra field
  return bytes;
}

}  // namespace

std::string npz_bytes(std::span<const std::pair<std::string, Tensor>> tensors) {
  std::string file;
  std::string directory;
  for (const auto& [tensor_name, tensor] : tensors) {
    const std::string content = npy_bytes(tensor);
    const std::string name = tensor_name + ".npy";
    if (file.size() + content.size() + 1000 > std::numeric_limits<uint32_t>::max()) {
      fail(ErrorCode::unsupported, "a .npz file of more than 4 GB is not written");
    }
    const std::string described = description(name, content);
    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);  // version made by
    directory += described;
    put(directory, 0, 2);  // comment
    put(directory, 0, 2);  // disk
    put(directory, 0, 2);  // attributes
    put(directory, 0, 4);
    put(directory, file.size(), 4);
    directory += name;
    put(file, 0x04034b50, 4);
    file += described + name + content;
  }
  const size_t start = file.size();
  file += directory;
  put(file, 0x06054b50, 4);
  put(file, 0, 4);  // disks
  put(file, tensors.size(), 2);
  put(file, tensors.size(), 2);
  put(file, directory.size(), 4);
  put(file, start, 4);
  put(file, 0, 2);  // comment
  return file;
}

}  // namespace nibble
