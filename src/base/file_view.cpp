#include "base/file_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"

namespace nibble {

FileView::FileView(const std::filesystem::path& path) {
  const std::optional<uint64_t> size = size_of_file(path);
  if (size.value_or(0) > 0) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
      void* memory = ::mmap(nullptr, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
      ::close(fd);
      if (memory != MAP_FAILED) {
        mapped_ = memory;
        bytes_ = {static_cast<const char*>(memory), *size};
        return;
      }
    }
  }
  read_ = read_file(path);  // or says why not
  bytes_ = read_;
}

FileView::~FileView() {
  if (mapped_ != nullptr) ::munmap(mapped_, bytes_.size());
}

}  // namespace nibble
