// A file's bytes without a copy of them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// A regular file is mapped; of a pipe or a device, the bytes are read. Whoever shortens the file
/// meanwhile ends the program: keep a view no longer than it takes to read it.
class FileView {
 public:
  /// Throws Error{io} naming the file.
  explicit FileView(const std::filesystem::path& path);
  ~FileView();
  FileView(const FileView&) = delete;
  FileView& operator=(const FileView&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  std::string read_;
  std::string_view bytes_;
  void* mapped_ = nullptr;
};

}  // namespace nibble
#pragma GCC visibility pop
