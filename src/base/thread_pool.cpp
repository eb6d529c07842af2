#include "base/thread_pool.h"

#include <exception>

namespace nibble {
namespace {

// About 10 to 20 microseconds: long enough to bridge the gap between two layers, short enough to
// give the core away.
constexpr int kSpins = 2000;

thread_local bool inside_task = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads <= 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker_loop(); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t tasks, Call call, const void* context) {
  if (tasks <= 0) return;
  if (workers_.empty() || tasks == 1 || inside_task) {
    for (int64_t task = 0; task < tasks; ++task) call(context, task);
    return;
  }
  call_ = call;
  context_ = context;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  failed_ = false;
  failure_ = nullptr;
  running_workers_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  {
    std::lock_guard lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  work();
  // All tasks are taken; wait for those still being run. Yield after a while: a worker may not have
  // a core.
  for (int spins = 0; running_workers_.load(std::memory_order_acquire) != 0; ++spins) {
    if (spins < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
  if (failure_) std::rethrow_exception(failure_);
}

void ThreadPool::work() {
  inside_task = true;
  try {
    for (;;) {
      const int64_t task = next_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_ || failed_.load(std::memory_order_relaxed)) break;
      call_(context_, task);
    }
  } catch (...) {
    if (!failed_.exchange(true)) failure_ = std::current_exception();
  }
  inside_task = false;
}

void ThreadPool::worker_loop() {
  uint64_t seen = 0;
  for (;;) {
    int spins = 0;
    while (generation_.load(std::memory_order_acquire) == seen && !stopping_ && spins < kSpins) {
      relax();
      ++spins;
    }
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || generation_.load() != seen; });
    }
    if (stopping_) return;
    ++seen;
    work();
    running_workers_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace nibble
