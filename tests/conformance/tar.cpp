#include "conformance/tar.h"

#include <zlib.h>

#include <cstdlib>
#include <stdexcept>
#include <string_view>
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

// The value of `path` among the records "length key=value\n" of a POSIX extended header; empty if
// it has none.
std::string extended_path(const std::string& records) {
  for (size_t at = 0; at < records.size();) {
    const size_t length = std::strtoull(records.c_str() + at, nullptr, 10);
    if (length == 0) break;
    const std::string record = records.substr(at, length);
    const size_t key = record.find(' ') + 1;
    constexpr std::string_view kPath = "path=";
    if (record.compare(key, kPath.size(), kPath) == 0) {
      return record.substr(key + kPath.size(), record.size() - key - kPath.size() - 1);
    }
    at += length;
  }
  return {};
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
    if (kind == 'x') {  // POSIX: properties of the next entry
      long_name = extended_path(contents);
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
