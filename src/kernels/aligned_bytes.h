// Memory of weights and buffers.
#pragma once

#include <cstddef>
#include <memory>

namespace nibble {

/// Zeroed bytes on a 64-byte boundary. Large ones ask for large pages: what is read once from end
/// to end waits for the page table otherwise (twice as long, on a virtual machine).
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size);
  std::byte* data() const { return bytes_.get(); }
  size_t size() const { return size_; }

 private:
  struct Free {
    size_t alignment;
    void operator()(std::byte* bytes) const;
  };
  std::unique_ptr<std::byte[], Free> bytes_;
  size_t size_ = 0;
};

}  // namespace nibble
