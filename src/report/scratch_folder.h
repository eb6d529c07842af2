// A folder for files that are not to last.
#pragma once

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace nibble {

/// In the folder for temporary files ($TMPDIR); removed with everything in it.
class ScratchFolder {
 public:
  /// Throws Error{io}.
  explicit ScratchFolder(const std::string& stem) {
    std::error_code code;
    const std::filesystem::path parent = std::filesystem::temp_directory_path(code);
    std::string name = (parent / (stem + "-XXXXXX")).string();
    if (code || ::mkdtemp(name.data()) == nullptr) {
      fail(ErrorCode::io, "cannot make a folder for temporary files in {}: {}", parent.string(),
           code ? code.message() : std::strerror(errno));
    }
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace nibble
