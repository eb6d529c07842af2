// A file that grows entry by entry: what was appended stays, whatever happens to the process.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"

namespace nibble {

class OutputFile {
 public:
  /// Appends to what is there. Throws Error{io}, as append() does.
  explicit OutputFile(std::string path)
      : path_(std::move(path)),
        file_(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {
    if (file_ < 0) refuse();
  }
  ~OutputFile() { ::close(file_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void append(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t put = ::write(file_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) refuse();
      bytes.remove_prefix(static_cast<size_t>(put));
    }
  }

 private:
  [[noreturn]] void refuse() const {
    fail(ErrorCode::io, "cannot write '{}': {}", path_, std::strerror(errno));
  }

  std::string path_;
  int file_ = -1;
};

}  // namespace nibble
