// A small fork-join pool. Workers sleep on a futex-backed condition after a short spin, so an idle
// or oversubscribed machine loses nothing; the caller always takes part in the work, so a pool of
// one thread has no workers at all.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace nibble {

class ThreadPool {
 public:
  /// `threads` >= 1 counts the calling thread; 0 means one per core.
  explicit ThreadPool(int threads = 1);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(task) for every task in [0, tasks), in any order, on all threads; returns when all
  /// are done. Allocates nothing. A call from inside a task runs serially. The first exception is
  /// rethrown here.
  template <typename Body>
  void parallel_for(int64_t tasks, const Body& body) {
    run(
        tasks,
        [](const void* context, int64_t task) { (*static_cast<const Body*>(context))(task); },
        &body);
  }

  /// Splits [0, count) into at most threads() contiguous ranges of a multiple of `grain` and calls
  /// body(begin, end).
  template <typename Body>
  void parallel_ranges(int64_t count, int64_t grain, const Body& body) {
    if (count <= 0) return;
    const int64_t blocks = (count + grain - 1) / grain;
    const int64_t parts = blocks < threads() ? blocks : threads();
    parallel_for(parts, [&](int64_t part) {
      const int64_t begin = blocks * part / parts * grain;
      const int64_t end = blocks * (part + 1) / parts * grain;
      body(begin, end < count ? end : count);
    });
  }

 private:
  using Call = void (*)(const void*, int64_t);
  void run(int64_t tasks, Call call, const void* context);
  void work();
  void worker_loop();

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> running_workers_{0};

  Call call_ = nullptr;
  const void* context_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace nibble
