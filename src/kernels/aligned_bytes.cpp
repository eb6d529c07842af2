#include "kernels/aligned_bytes.h"

#include <algorithm>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace nibble {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kLargePage = size_t{2} << 20;

}  // namespace

AlignedBytes::AlignedBytes(size_t size) : size_(size) {
  const size_t alignment = size >= kLargePage ? kLargePage : kLine;
  auto* bytes = static_cast<std::byte*>(::operator new (size, std::align_val_t{alignment}));
  bytes_ = std::unique_ptr<std::byte[], Free>(bytes, Free{alignment});
#if defined(__linux__)
  // A wish: where it is not granted, pages are small. What does not fill a large page has none.
  if (alignment == kLargePage) madvise(bytes, size / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
  std::fill_n(bytes, size, std::byte{0});
}

void AlignedBytes::Free::operator()(std::byte* bytes) const {
  ::operator delete (bytes, std::align_val_t{alignment});
}

}  // namespace nibble
