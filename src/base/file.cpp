#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
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

// What a new file has, and what a replaced one keeps. Group and owner are kept where that is
// allowed; where it is not, the mode loses what was meant for them alone.
int copy_mode(const std::filesystem::path& path, int fd) {
  struct stat old {};
  if (::stat(path.c_str(), &old) != 0) {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    return ::fchmod(fd, 0666 & ~mask) == 0 ? 0 : errno;
  }
  mode_t mode = old.st_mode & 07777;
  if (::fchown(fd, old.st_uid, old.st_gid) != 0) mode &= ~static_cast<mode_t>(S_ISUID | S_ISGID);
  return ::fchmod(fd, mode) == 0 ? 0 : errno;
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
  if (const int error = copy_mode(path, file.fd); error != 0) abandon(error);
  if (::fsync(file.fd) != 0) abandon(errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) abandon(errno);
}

// Whether there is something at `path`, whatever links lead to it, that no other can replace.
bool is_device_or_pipe(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
}

std::atomic<bool> writing_files{true};

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

void write_no_files() { writing_files = false; }
bool writes_files() { return writing_files; }

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  if (!writing_files) return;
  check_writable(path);
  if (is_device_or_pipe(path)) {
    write_in_place(path, bytes);
  } else {
    replace_file(follow_links(path), bytes);
  }
}

void check_writable(const std::filesystem::path& path) {
  if (!writing_files) return;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail_io("write", path, EISDIR);
  const std::filesystem::path target = is_device_or_pipe(path) ? path : follow_links(path);
  if (std::filesystem::exists(target, ignored) && ::access(target.c_str(), W_OK) != 0) {
    fail_io("write", path, errno);
  }
  if (is_device_or_pipe(path)) return;
  const std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail(ErrorCode::io, "cannot write '{}': the folder '{}' does not exist", path.string(),
         folder.string());
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    fail(ErrorCode::io, "cannot write '{}': no permission to write in '{}'", path.string(),
         folder.string());
  }
}

std::optional<uint64_t> size_of_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  const uint64_t size = std::filesystem::file_size(path, error);
  return error ? std::nullopt : std::optional(size);
}

}  // namespace nibble
