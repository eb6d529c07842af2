// oneDNN as this project uses it: one CPU engine, and every call single-threaded. Parallelism comes
// from our own ThreadPool, whose tasks each run one primitive on a slice of the data; oneDNN's
// OpenMP must never start threads of its own (it was measured to collapse under contention).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <span>
#include <vector>

#include "ops/support/spatial.h"

namespace nibble::onednn {

const dnnl::engine& engine();

/// While it lives, OpenMP regions on this thread run on this thread alone. Needed wherever a
/// primitive is created (its blocking depends on the number of threads) and wherever one is
/// executed.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_ = 1;
};

/// f32 descriptors: row-major, with these strides, or of a layout that the primitive chooses.
dnnl::memory::desc dense(std::span<const int64_t> dims);
dnnl::memory::desc strided(std::span<const int64_t> dims, std::span<const int64_t> strides);
dnnl::memory::desc any_layout(std::span<const int64_t> dims);

/// User-managed scratchpad, and the clamp as a post operation.
dnnl::primitive_attr attributes(const Clamp& clamp);

/// One primitive with its arguments, to be run on other buffers each time, by several threads too.
class Task {
 public:
  Task() = default;
  explicit Task(dnnl::primitive primitive)
      : primitive_(std::move(primitive)), arguments_(std::make_unique<Arguments>()) {}

  /// Adds an argument (DNNL_ARG_SRC, ...) and returns its position for run().
  size_t add_argument(int kind, const dnnl::memory::desc& desc);
  /// `buffers` in the order of add_argument(). Allocates nothing of ours, unless another thread is
  /// running the task (oneDNN keeps a small table of arguments for the time of the call).
  void run(std::span<void* const> buffers) const;

 private:
  // What oneDNN is told of the buffers; the handles are set before each run.
  struct Arguments {
    std::vector<dnnl::memory> memories;
    std::vector<void*> handles;  // of memories: setting one takes a while
    std::vector<dnnl_exec_arg_t> table;
    std::atomic_flag taken;

    void add(int kind, const dnnl::memory::desc& desc);
  };
  void run_with(Arguments& arguments, std::span<void* const> buffers) const;

  dnnl::primitive primitive_;
  std::unique_ptr<Arguments> arguments_;
};

/// A task that copies its first argument to its second, changing the layout.
Task reorder_task(const dnnl::memory::desc& from, const dnnl::memory::desc& to);
/// The same at once.
void reorder(const dnnl::memory::desc& from, const void* source, const dnnl::memory::desc& to,
             void* target);

/// make(pieces) is a kernel whose work is cut into so many pieces: as many as the number of
/// multiply-accumulates is worth, never as many as there are threads, for within a piece oneDNN's
/// order of summation may depend on the piece's shape. A piece costs about a microsecond. Pieces
/// share the layout of the weights, which suits the implementation of the first: while it is not
/// that of all (kernel->uniform()), or does not exist for some, there are fewer. nullptr if oneDNN
/// cannot do it even in one.
template <typename Make>
auto make_in_pieces(int64_t macs, const Make& make) -> decltype(make(macs)) {
  constexpr int64_t kWorthTwo = 150'000, kPiece = 2'000'000, kMost = 16;
  int64_t pieces = macs < kWorthTwo ? 1 : std::clamp<int64_t>(macs / kPiece, 2, kMost);
  for (;; pieces /= 2) {
    try {
      auto kernel = make(pieces);
      if (kernel->uniform() || pieces == 1) return kernel;
    } catch (const dnnl::error&) {
      if (pieces == 1) return nullptr;
    }
  }
}

/// Rounds up to what keeps buffers in one workspace aligned.
constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace nibble::onednn
