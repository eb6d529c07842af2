// A block of read-only bytes: owned, or mapped from a file and then paged in as it is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace nibble {

class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::vector<uint8_t> owned);
  /// Bytes that outlive everything (embedded in the library).
  static Bytes borrow(std::span<const uint8_t> bytes);
  /// Bytes that live as long as `owner`.
  static Bytes share(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner);
  /// Throws Error{io} naming the file.
  static Bytes map(const std::filesystem::path& path);

  std::span<const uint8_t> view() const { return view_; }
  size_t size() const { return view_.size(); }

 private:
  std::span<const uint8_t> view_;
  std::shared_ptr<const void> owner_;
};

/// The whole of a gzip file, or of a plain one. At most `limit` bytes: more, a truncated or a
/// corrupt stream is Error{invalid_data} naming the file.
std::vector<uint8_t> read_gzip(const std::filesystem::path& path, size_t limit);

}  // namespace nibble
