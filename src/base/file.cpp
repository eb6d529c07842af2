#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/check.h"

namespace nibble {
namespace {

[[noreturn]] void fail_io(const char* action, const std::filesystem::path& path, int error) {
  fail(ErrorCode::io, "cannot {} '{}': {}", action, path.string(), std::strerror(error));
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Where the symbolic links at the end of `path` lead: a file that need not exist.
std::filesystem::path follow_links(std::filesystem::path path) {
  constexpr int kMaxLinks = 40;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == kMaxLinks) fail_io("write", path, ELOOP);
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error) fail_io("write", path, error.value());
    path = path.parent_path() / target;
  }
  return path;
}

// 0, or the error.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return 0;
}

// A device or a pipe: it stays what it is.
void write_in_place(const std::filesystem::path& path, std::string_view bytes) {
  Descriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_io("write", path, errno);
  if (const int error = write_all(file.fd, bytes); error != 0) fail_io("write", path, error);
}

void replace_file(const std::filesystem::path& path, std::string_view bytes) {
  std::string temporary = path.string() + ".XXXXXX";
  Descriptor file{::mkostemp(temporary.data(), O_CLOEXEC)};
  if (file.fd < 0) fail_io("write", path, errno);
  const auto abandon = [&](int error) {
    ::unlink(temporary.c_str());
    fail_io("write", path, error);
  };
  if (const int error = write_all(file.fd, bytes); error != 0) abandon(error);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file.fd, 0666 & ~mask) != 0) abandon(errno);
  if (::fsync(file.fd) != 0) abandon(errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) abandon(errno);
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_io("read", path, errno);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail_io("read", path, errno);
  if (S_ISDIR(info.st_mode)) fail_io("read", path, EISDIR);
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size())
      bytes.resize(bytes.size() + 4096);  // also serves pipes, whose size is 0
    const ssize_t got = ::read(file.fd, bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("read", path, errno);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

std::string read_file_range(const std::filesystem::path& path, int64_t offset, int64_t length) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_io("read", path, errno);
  std::string bytes(static_cast<size_t>(length), '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::pread(file.fd, bytes.data() + filled, bytes.size() - filled,
                                offset + static_cast<off_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("read", path, errno);
    if (got == 0) {
      fail(ErrorCode::io, "'{}' ends before byte {}", path.string(), offset + length);
    }
    filled += static_cast<size_t>(got);
  }
  return bytes;
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path target = follow_links(path);
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(target, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    write_in_place(target, bytes);
  } else {
    replace_file(target, bytes);
  }
}

}  // namespace nibble
