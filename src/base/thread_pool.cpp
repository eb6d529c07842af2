#include "base/thread_pool.h"

#include <limits>

#include "base/check.h"
#include "base/machine.h"

namespace nibble {
namespace {

// About 10 to 20 microseconds: long enough to bridge the gap between two layers, short enough to
// give the core away.
constexpr int kSpins = 1000;

// No job has this number, so nobody takes a task while no job runs.
constexpr uint32_t kNoJob = 0;
constexpr uint64_t kClosed = uint64_t{kNoJob} << 32;

thread_local bool inside_task = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Until `value` is no longer `old`, or for long enough.
void spin_while(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins && value.load(std::memory_order_acquire) == old; ++i) relax();
}

void run_serially(int64_t tasks, void (*call)(const void*, int64_t), const void* context) {
  for (int64_t task = 0; task < tasks; ++task) call(context, task);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : ticket_(kClosed) {
  if (threads <= 0) threads = cores();
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker_loop(); });
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t tasks, Call call, const void* context) {
  if (workers_.empty() || tasks <= 1 || inside_task ||
      busy_.exchange(true, std::memory_order_acquire))
    return run_serially(tasks, call, context);
  check(tasks < std::numeric_limits<uint32_t>::max(), "too many tasks");
  const auto count = static_cast<uint32_t>(tasks);
  publish(count, call, context);
  take_tasks(job_.load(std::memory_order_relaxed));
  wait_for_all(count);
  ticket_.store(kClosed, std::memory_order_release);
  std::exception_ptr failure = std::move(failure_);
  failure_ = nullptr;
  busy_.store(false, std::memory_order_release);
  if (failure) std::rethrow_exception(failure);
}

void ThreadPool::publish(uint32_t tasks, Call call, const void* context) {
  // Released one by one after the closing of the last ticket: who sees one of them no longer gets a
  // task of the last job.
  call_.store(call, std::memory_order_release);
  context_.store(context, std::memory_order_release);
  tasks_.store(tasks, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  uint32_t job = job_.load(std::memory_order_relaxed) + 1;
  if (job == kNoJob) ++job;
  ticket_.store(uint64_t{job} << 32, std::memory_order_release);
  job_.store(job, std::memory_order_release);
  if (tasks > workers_.size()) {
    job_.notify_all();
  } else {
    for (uint32_t i = 1; i < tasks; ++i) job_.notify_one();
  }
}

// Takes tasks of `job` until there are none left.
void ThreadPool::take_tasks(uint32_t job) {
  uint32_t taken = 0;
  inside_task = true;
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  uint32_t tasks = 0;
  while (ticket >> 32 == job) {
    const Call call = call_.load(std::memory_order_acquire);
    const void* context = context_.load(std::memory_order_acquire);
    tasks = tasks_.load(std::memory_order_acquire);
    const auto task = static_cast<uint32_t>(ticket);
    if (task >= tasks) break;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
      continue;
    run_task(call, context, task);
    ++taken;
    ticket = ticket_.load(std::memory_order_acquire);
  }
  inside_task = false;
  // Having taken a task, this thread has kept the job alive until here.
  if (taken != 0 && done_.fetch_add(taken, std::memory_order_acq_rel) + taken == tasks)
    done_.notify_one();
}

void ThreadPool::run_task(Call call, const void* context, uint32_t task) {
  if (failed_.load(std::memory_order_relaxed)) return;
  try {
    call(context, task);
  } catch (...) {
    if (!failed_.exchange(true)) failure_ = std::current_exception();
  }
}

void ThreadPool::wait_for_all(uint32_t tasks) {
  for (;;) {
    const uint32_t done = done_.load(std::memory_order_acquire);
    if (done == tasks) return;
    spin_while(done_, done);
    done_.wait(done, std::memory_order_acquire);
  }
}

void ThreadPool::worker_loop() {
  uint32_t seen = 0;
  for (;;) {
    spin_while(job_, seen);
    job_.wait(seen, std::memory_order_acquire);
    if (stopping_) return;
    seen = job_.load(std::memory_order_acquire);
    take_tasks(seen);
  }
}

}  // namespace nibble
