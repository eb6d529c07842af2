// A small fork-join pool. The caller always takes part in the work, and a job is over as soon as
// its tasks are: a worker that did not get a core in time is not waited for. Workers and caller
// sleep on futexes after a short spin, so an oversubscribed machine loses little, an idle one
// nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#pragma GCC visibility push(default)
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
  /// are done. Allocates nothing. A call from inside a task, or while another thread uses the pool,
  /// runs serially. The first exception is rethrown here; tasks not yet begun are then left out.
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
  void publish(uint32_t tasks, Call call, const void* context);
  void take_tasks(uint32_t job);
  void run_task(Call call, const void* context, uint32_t task);
  void wait_for_all(uint32_t tasks);
  void worker_loop();

  std::vector<std::thread> workers_;
  std::atomic<bool> busy_{false};
  std::atomic<bool> stopping_{false};
  /// The number of the latest job, which idle workers wait on.
  std::atomic<uint32_t> job_{0};
  /// (job number << 32) | next task: taking a task proves that its job still runs, and with it that
  /// the description below is that job's.
  std::atomic<uint64_t> ticket_;
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<uint32_t> tasks_{0};
  std::atomic<uint32_t> done_{0};
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;
};

}  // namespace nibble
#pragma GCC visibility pop
