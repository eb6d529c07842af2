// A few kernels kept from earlier evaluations: eval (types known only now) then prepares a kernel
// once per shape and not once per call.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "ops/op.h"

namespace nibble {

/// Keeps the `kCapacity` last kernels by key. One per thread, so it needs no lock.
template <typename Key>
class KernelCache {
 public:
  static constexpr size_t kCapacity = 16;

  /// The kernel for `key`, made by `make()` (which may give nullptr: remembered as well).
  template <typename Make>
  const Kernel* find_or_make(const Key& key, const Make& make) {
    for (const auto& [known, kernel] : kernels_) {
      if (known == key) return kernel.get();
    }
    std::unique_ptr<Kernel> made = make();
    if (kernels_.size() < kCapacity) {
      kernels_.emplace_back(key, std::move(made));
      return kernels_.back().second.get();
    }
    next_ = (next_ + 1) % kCapacity;
    kernels_[next_] = {key, std::move(made)};
    return kernels_[next_].second.get();
  }

 private:
  std::vector<std::pair<Key, std::unique_ptr<Kernel>>> kernels_;
  size_t next_ = 0;
};

/// Runs `kernel` with a workspace of its own.
inline void run_with_workspace(const Kernel& kernel, EvalContext& context) {
  const Tensor workspace(DType::u8, {static_cast<int64_t>(kernel.workspace_bytes())});
  void* outer = context.workspace;
  context.workspace = const_cast<void*>(workspace.raw());
  kernel.run(context);
  context.workspace = outer;
}

}  // namespace nibble
