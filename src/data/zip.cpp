// Reading zip archives: stored and deflated entries, zip64 (PKWARE APPNOTE 6.3.10).
#include <zlib.h>

#include <algorithm>

#include "base/check.h"
#include "data/npy.h"

namespace nibble {
namespace {

constexpr uint32_t kEndOfDirectory = 0x06054b50;
constexpr uint32_t kZip64Locator = 0x07064b50;
constexpr uint32_t kZip64End = 0x06064b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kInZip64 = 0xFFFFFFFF;
constexpr uint16_t kStored = 0;
constexpr uint16_t kDeflated = 8;

[[noreturn]] void fail_corrupt(const char* what) {
  fail(ErrorCode::invalid_data, "not a sound zip archive: {}", what);
}

// Little-endian numbers, every access checked.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  std::span<const uint8_t> slice(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) fail_corrupt("it is truncated");
    return bytes_.subspan(at, size);
  }
  uint64_t number(uint64_t at, size_t size) const {
    uint64_t value = 0;
    const auto bytes = slice(at, size);
    for (size_t i = size; i-- > 0;) value = value << 8U | bytes[i];
    return value;
  }
  uint16_t u16(uint64_t at) const { return static_cast<uint16_t>(number(at, 2)); }
  uint32_t u32(uint64_t at) const { return static_cast<uint32_t>(number(at, 4)); }
  uint64_t u64(uint64_t at) const { return number(at, 8); }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
};

// The end record is the last 22 bytes, before a comment of at most 65,535.
uint64_t find_end(const Reader& file) {
  if (file.size() < 22) fail_corrupt("it is too short");
  const uint64_t last = file.size() - 22;
  const uint64_t first = last > 65535 ? last - 65535 : 0;
  for (uint64_t at = last + 1; at-- > first;) {
    if (file.u32(at) == kEndOfDirectory) return at;
  }
  fail_corrupt("its directory is missing (truncated?)");
}

// Sizes and the offset that did not fit 32 bits stand in the extra field 1, in this order.
void read_zip64(const Reader& file, uint64_t extra, uint64_t length, ZipEntry& entry) {
  const uint64_t end = extra + length;
  while (extra + 4 <= end) {
    const uint16_t tag = file.u16(extra);
    const uint64_t next = extra + 4 + file.u16(extra + 2);
    uint64_t at = extra + 4;
    for (uint64_t* field : {&entry.size, &entry.compressed_size, &entry.header_offset}) {
      if (tag != 1 || *field != kInZip64 || at + 8 > next) continue;
      *field = file.u64(at);
      at += 8;
    }
    extra = next;
  }
}

// A raw deflate stream: the first bytes, `size` at most, and whether that is all of it.
struct Inflated {
  std::vector<uint8_t> bytes;
  bool ended = false;
};
Inflated inflated(std::span<const uint8_t> compressed, uint64_t size) {
  // Deflate makes data at most 1,032 times smaller: a larger promise is a lie.
  if (size / 1032 > compressed.size() + 1) fail_corrupt("an entry's size is absurd");
  std::vector<uint8_t> bytes(size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail_corrupt("zlib cannot start");
  int code = Z_OK;
  size_t read = 0;
  size_t written = 0;
  while (code == Z_OK) {  // zlib counts in 32 bits
    const size_t in = std::min<size_t>(compressed.size() - read, 1U << 30U);
    const size_t out = std::min<size_t>(bytes.size() - written, 1U << 30U);
    stream.next_in = const_cast<uint8_t*>(compressed.data()) + read;
    stream.avail_in = static_cast<unsigned>(in);
    stream.next_out = bytes.data() + written;
    stream.avail_out = static_cast<unsigned>(out);
    code = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    written += out - stream.avail_out;
  }
  inflateEnd(&stream);
  const bool full = code == Z_BUF_ERROR && written == bytes.size();
  if (code != Z_STREAM_END && !full) fail_corrupt("an entry's compressed data are damaged");
  bytes.resize(written);
  return {std::move(bytes), code == Z_STREAM_END};
}

// The stored bytes of an entry, compressed or not.
std::span<const uint8_t> stored_bytes(const Reader& file, const ZipEntry& entry) {
  const uint64_t header = entry.header_offset;
  if (file.u32(header) != kLocalHeader) fail_corrupt("a local header is damaged");
  const uint64_t data = header + 30 + file.u16(header + 26) + file.u16(header + 28);
  const std::span<const uint8_t> stored = file.slice(data, entry.compressed_size);
  if (entry.method != kStored && entry.method != kDeflated) {
    fail(ErrorCode::unsupported,
         "zip compression method {} is not supported (stored and deflated are)", entry.method);
  }
  return stored;
}

}  // namespace

std::vector<ZipEntry> zip_entries(std::span<const uint8_t> archive) {
  const Reader file(archive);
  const uint64_t end = find_end(file);
  uint64_t count = file.u16(end + 10);
  uint64_t at = file.u32(end + 16);
  if (end >= 20 && file.u32(end - 20) == kZip64Locator) {
    const uint64_t zip64_end = file.u64(end - 12);
    if (file.u32(zip64_end) != kZip64End) fail_corrupt("its zip64 record is damaged");
    count = file.u64(zip64_end + 32);
    at = file.u64(zip64_end + 48);
  }
  std::vector<ZipEntry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    if (file.u32(at) != kDirectoryEntry) fail_corrupt("its directory is damaged");
    if ((file.u16(at + 8) & 1U) != 0) fail_corrupt("an entry is encrypted");
    ZipEntry entry{.method = file.u16(at + 10),
                   .crc32 = file.u32(at + 16),
                   .compressed_size = file.u32(at + 20),
                   .size = file.u32(at + 24),
                   .header_offset = file.u32(at + 42)};
    const uint64_t name = file.u16(at + 28);
    const uint64_t extra = file.u16(at + 30);
    const auto name_bytes = file.slice(at + 46, name);
    entry.name.assign(name_bytes.begin(), name_bytes.end());
    read_zip64(file, at + 46 + name, extra, entry);
    at += 46 + name + extra + file.u16(at + 32);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<uint8_t> extract(std::span<const uint8_t> archive, const ZipEntry& entry) {
  const std::span<const uint8_t> stored = stored_bytes(Reader(archive), entry);
  std::vector<uint8_t> bytes;
  if (entry.method == kStored) {
    bytes.assign(stored.begin(), stored.end());
  } else {
    Inflated result = inflated(stored, entry.size);
    if (!result.ended) fail_corrupt("an entry's compressed data are damaged");
    bytes = std::move(result.bytes);
  }
  if (bytes.size() != entry.size) fail_corrupt("an entry has another size than it says");
  const uLong sum = crc32_z(0, bytes.data(), bytes.size());
  if (static_cast<uint32_t>(sum) != entry.crc32) fail_corrupt("an entry's checksum is wrong");
  return bytes;
}

std::vector<uint8_t> extract_start(std::span<const uint8_t> archive, const ZipEntry& entry,
                                   uint64_t most) {
  const std::span<const uint8_t> stored = stored_bytes(Reader(archive), entry);
  if (entry.method == kDeflated) return inflated(stored, std::min(entry.size, most)).bytes;
  const auto start = stored.first(std::min<uint64_t>(stored.size(), most));
  return {start.begin(), start.end()};
}

}  // namespace nibble
