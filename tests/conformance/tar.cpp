#include "conformance/tar.h"

#include <zlib.h>

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace nibble::testing {
namespace {

constexpr size_t kBlock = 512;

std::string read_gz(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open " + path.string());
  std::string bytes;
  std::string chunk(size_t{1} << 20U, '\0');
  int got = 0;
  while ((got = gzread(file, chunk.data(), static_cast<unsigned>(chunk.size()))) > 0) {
    bytes.append(chunk, 0, static_cast<size_t>(got));
  }
  gzclose(file);
  if (got < 0) throw std::runtime_error("cannot decompress " + path.string());
  return bytes;
}

std::string text_field(const std::string& header, size_t at, size_t length) {
  return header.substr(at, length).c_str();  // up to the first zero byte
}

}  // namespace

std::map<std::string, std::string> read_tar_gz(const std::filesystem::path& path) {
  const std::string bytes = read_gz(path);
  std::map<std::string, std::string> files;
  std::string long_name;
  for (size_t at = 0; at + kBlock <= bytes.size();) {
    const std::string header = bytes.substr(at, kBlock);
    if (header[0] == '\0') break;
    const size_t size = std::strtoull(text_field(header, 124, 12).c_str(), nullptr, 8);
    const char kind = header[156];
    at += kBlock;
    if (at + size > bytes.size()) throw std::runtime_error("truncated archive " + path.string());
    const std::string contents = bytes.substr(at, size);
    at += (size + kBlock - 1) / kBlock * kBlock;
    if (kind == 'L') {  // GNU: the name of the next entry
      long_name = contents.c_str();
      continue;
    }
    const std::string prefix = text_field(header, 345, 155);
    std::string name = text_field(header, 0, 100);
    if (header.compare(257, 6, std::string("ustar\0", 6)) == 0 && !prefix.empty()) {
      name = prefix + "/" + name;
    }
    if (!long_name.empty()) name = std::exchange(long_name, {});
    if (kind == '0' || kind == '\0') files[name] = contents;
  }
  return files;
}

}  // namespace nibble::testing
