#include "train/torch/kept_memory.h"

#include <c10/core/CPUAllocator.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace nibble {
namespace {

constexpr size_t kHeader = 64;  // in front of the tensor: the size of the block
constexpr size_t kLarge = size_t{1} << 20;
constexpr size_t kGrain = size_t{1} << 16;  // blocks are multiples of it

// A block: its size, and the tensor's bytes behind the header.
size_t& size_of(void* block) { return *static_cast<size_t*>(block); }

void* from_system(size_t size) {
  void* block = nullptr;
  if (posix_memalign(&block, kHeader, size) != 0) throw std::bad_alloc();
  size_of(block) = size;
  return block;
}

class Pool final : public c10::Allocator {
 public:
  static Pool& instance() {
    static auto* pool = new Pool;  // outlives every tensor
    return *pool;
  }

#if TORCH_VERSION_MAJOR >= 2
  c10::DataPtr allocate(size_t bytes) override { return allocated(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
#else
  c10::DataPtr allocate(size_t bytes) const override { return allocated(bytes); }
#endif
  c10::DeleterFnPtr raw_deleter() const override { return &Pool::release; }

  static c10::DataPtr allocated(size_t bytes) {
    if (bytes == 0) return {nullptr, c10::Device(c10::DeviceType::CPU)};
    auto* data = static_cast<std::byte*>(instance().take(bytes + kHeader)) + kHeader;
    return {data, data, &Pool::release, c10::Device(c10::DeviceType::CPU)};
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (scopes_++ > 0) return;
    before_ = c10::GetAllocator(c10::DeviceType::CPU);
    c10::SetAllocator(c10::DeviceType::CPU, this, kPriority);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--scopes_ > 0) return;
    c10::SetAllocator(c10::DeviceType::CPU, before_, kPriority);
    while (!kept_.empty()) drop_largest();
    peak_ = live_;
  }

 private:
  static constexpr uint8_t kPriority = UINT8_MAX;

  void* take(size_t size) {
    if (size < kLarge) return from_system(size);
    size = (size + kGrain - 1) / kGrain * kGrain;
    {
      const std::lock_guard lock(mutex_);
      const auto found = kept_.lower_bound(size);
      if (found != kept_.end() && found->first <= size + size / 8) {
        void* block = found->second;
        kept_bytes_ -= found->first;
        live_ += found->first;
        peak_ = std::max(peak_, live_);
        kept_.erase(found);
        return block;
      }
      live_ += size;
      peak_ = std::max(peak_, live_);
      while (!kept_.empty() && live_ + kept_bytes_ > limit()) drop_largest();
    }
    return from_system(size);
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* block = static_cast<std::byte*>(data) - kHeader;
    const size_t size = size_of(block);
    if (size >= kLarge && instance().keep(block, size)) return;
    std::free(block);
  }

  // False if it is to be freed.
  bool keep(void* block, size_t size) {
    const std::lock_guard lock(mutex_);
    live_ -= size;
    if (scopes_ == 0 || live_ + kept_bytes_ + size > limit()) return false;
    kept_.emplace(size, block);
    kept_bytes_ += size;
    return true;
  }

  size_t limit() const { return peak_ + peak_ / 4; }

  void drop_largest() {
    const auto last = std::prev(kept_.end());
    kept_bytes_ -= last->first;
    std::free(last->second);
    kept_.erase(last);
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;
  size_t live_ = 0, kept_bytes_ = 0;
  size_t peak_ = 0;  // of live_
  int scopes_ = 0;
  c10::Allocator* before_ = nullptr;
};

}  // namespace

KeptMemory::KeptMemory() { Pool::instance().open(); }
KeptMemory::~KeptMemory() { Pool::instance().close(); }

}  // namespace nibble
