#include "data/bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace nibble {

Bytes::Bytes(std::vector<uint8_t> owned) {
  auto holder = std::make_shared<const std::vector<uint8_t>>(std::move(owned));
  view_ = *holder;
  owner_ = std::move(holder);
}

Bytes Bytes::borrow(std::span<const uint8_t> bytes) {
  Bytes result;
  result.view_ = bytes;
  return result;
}

Bytes Bytes::share(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner) {
  Bytes result;
  result.view_ = bytes;
  result.owner_ = std::move(owner);
  return result;
}

Bytes Bytes::map(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || ::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int reason = file < 0 ? errno : EISDIR;
    if (file >= 0) ::close(file);
    fail(ErrorCode::io, "{}: cannot read: {}", path.string(), std::strerror(reason));
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* address = size == 0 ? nullptr : ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  const int reason = errno;
  ::close(file);
  if (address == MAP_FAILED) {
    fail(ErrorCode::io, "{}: cannot map: {}", path.string(), std::strerror(reason));
  }
  Bytes result;
  if (size == 0) return result;
  result.view_ = {static_cast<const uint8_t*>(address), size};
  result.owner_ = std::shared_ptr<const void>(
      address, [size](const void* p) { ::munmap(const_cast<void*>(p), size); });
  return result;
}

namespace {

// What the last four bytes of a gzip file say its contents take, with room to notice their end; no
// more than deflate can compress.
size_t size_hint(const std::filesystem::path& path) {
  const Bytes file = Bytes::map(path);
  if (file.size() < 18) return 0;
  size_t size = 0;
  for (size_t i = 1; i <= 4; ++i) size = size << 8U | file.view()[file.size() - i];
  return std::min(size, file.size() * 1032) + (1U << 20U);
}

}  // namespace

std::vector<uint8_t> read_gzip(const std::filesystem::path& path, size_t limit) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(::gzopen(path.c_str(), "rb"), gzclose_r);
  if (!file) fail(ErrorCode::io, "{}: cannot read: {}", path.string(), std::strerror(errno));
  ::gzbuffer(file.get(), 1U << 17U);
  std::vector<uint8_t> bytes;
  bytes.reserve(size_hint(path));
  for (;;) {
    const size_t have = bytes.size();
    // Grows with what is really there, whatever a header promises.
    bytes.resize(have + (1U << 20U));
    const size_t room = std::min<size_t>(bytes.size() - have, 1U << 30U);
    const int got = ::gzread(file.get(), bytes.data() + have, static_cast<unsigned>(room));
    bytes.resize(have + static_cast<size_t>(std::max(got, 0)));
    if (bytes.size() > limit) {
      fail(ErrorCode::invalid_data, "{}: holds more than {} bytes", path.string(), limit);
    }
    if (got > 0) continue;
    int code = Z_OK;
    const char* message = ::gzerror(file.get(), &code);
    if (code == Z_BUF_ERROR) {
      fail(ErrorCode::invalid_data, "{}: the gzip stream is truncated", path.string());
    }
    if (got < 0 || code != Z_OK) {
      fail(ErrorCode::invalid_data, "{}: not a sound gzip stream: {}", path.string(), message);
    }
    return bytes;
  }
}

}  // namespace nibble
