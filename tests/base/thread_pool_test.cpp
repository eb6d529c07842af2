#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace nibble {
namespace {

TEST(thread_pool, every_task_runs_exactly_once) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t tasks : {0, 1, 2, 3, 7, 100, 5000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      pool.parallel_for(tasks, [&](int64_t task) { ++runs[static_cast<size_t>(task)]; });
      for (const auto& count : runs) ASSERT_EQ(count, 1) << threads << " threads";
    }
  }
}

TEST(thread_pool, zero_threads_means_one_per_core) {
  EXPECT_EQ(ThreadPool(0).threads(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(thread_pool, many_tiny_jobs_lose_no_task) {
  for (const int threads : {2, 4}) {
    ThreadPool pool(threads);
    std::atomic<int64_t> sum{0};
    int64_t expected = 0;
    for (int64_t job = 0; job < 20000; ++job) {
      const int64_t tasks = 2 + job % 5;
      // The body lives in this frame: a worker that ran it late would read another job's.
      const int64_t value = job;
      pool.parallel_for(tasks, [&](int64_t task) { sum += value + task; });
      expected += tasks * value + tasks * (tasks - 1) / 2;
      ASSERT_EQ(sum, expected) << "job " << job;
    }
  }
}

TEST(thread_pool, plain_writes_of_tasks_are_visible_to_the_caller) {
  ThreadPool pool(3);
  std::vector<int64_t> values(1000);
  for (int64_t round = 1; round < 200; ++round) {
    pool.parallel_for(1000, [&](int64_t task) { values[static_cast<size_t>(task)] = round; });
    ASSERT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 1000 * round);
  }
}

TEST(thread_pool, the_exception_of_a_task_reaches_the_caller) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 100; ++round) {
      EXPECT_THROW(pool.parallel_for(20,
                                     [&](int64_t task) {
                                       if (task % 7 == 3) throw std::runtime_error("task");
                                     }),
                   std::runtime_error);
      std::atomic<int> runs{0};
      pool.parallel_for(20, [&](int64_t) { ++runs; });
      EXPECT_EQ(runs, 20);  // the pool works as before
    }
  }
}

TEST(thread_pool, a_nested_call_runs_serially_in_its_task) {
  ThreadPool pool(3);
  std::atomic<int> runs{0};
  pool.parallel_for(6, [&](int64_t) {
    const std::thread::id self = std::this_thread::get_id();
    pool.parallel_for(5, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++runs;
    });
  });
  EXPECT_EQ(runs, 30);
}

TEST(thread_pool, two_callers_may_share_a_pool) {
  ThreadPool pool(2);
  std::atomic<int64_t> runs{0};
  const auto caller = [&] {
    for (int job = 0; job < 2000; ++job) pool.parallel_for(3, [&](int64_t) { ++runs; });
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(runs, 12000);
}

TEST(thread_pool, ranges_cover_everything_in_whole_grains) {
  ThreadPool pool(3);
  for (const int64_t count : {0, 1, 9, 10, 11, 64, 1000}) {
    std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
    pool.parallel_ranges(count, 10, [&](int64_t begin, int64_t end) {
      EXPECT_EQ(begin % 10, 0);
      EXPECT_LT(begin, end);
      for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
    });
    for (const auto& hit : hits) ASSERT_EQ(hit, 1);
  }
}

// A caller does not wait for workers that have no core: with many more threads than cores, a job
// that the caller could do alone at once must not take a scheduling round for each worker.
TEST(thread_pool, idle_workers_are_not_waited_for) {
  ThreadPool pool(64);
  const auto start = std::chrono::steady_clock::now();
  for (int job = 0; job < 200; ++job) pool.parallel_for(2, [](int64_t) {});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 5.0);
}

}  // namespace
}  // namespace nibble
