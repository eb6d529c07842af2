// Fork and join of many small jobs: our pool against OpenMP, alone and beside competing threads
// that never sleep. Names are <who>/<threads>/<competitors>.
#include "base/thread_pool.h"

#include <benchmark/benchmark.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace nibble {
namespace {

// About 5 microseconds.
void work(int64_t seed) {
  auto state = static_cast<uint64_t>(seed);
  for (int i = 0; i < 5000; ++i) state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  benchmark::DoNotOptimize(state);
}

constexpr int64_t kTasks = 8;

/// Threads that burn their core as long as they live.
class Competitors {
 public:
  explicit Competitors(int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) work(1);
      });
    }
  }
  ~Competitors() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Competitors(const Competitors&) = delete;
  Competitors& operator=(const Competitors&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

void serial(benchmark::State& state) {
  const Competitors competitors(static_cast<int>(state.range(1)));
  for (auto _ : state) {
    for (int64_t task = 0; task < kTasks; ++task) work(task);
  }
}

void pool(benchmark::State& state) {
  const Competitors competitors(static_cast<int>(state.range(1)));
  ThreadPool threads(static_cast<int>(state.range(0)));
  for (auto _ : state) threads.parallel_for(kTasks, [](int64_t task) { work(task); });
}

void openmp(benchmark::State& state) {
  const Competitors competitors(static_cast<int>(state.range(1)));
  const auto threads = static_cast<int>(state.range(0));
  for (auto _ : state) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t task = 0; task < kTasks; ++task) work(task);
  }
}

void arguments(benchmark::internal::Benchmark* benchmark) {
  benchmark->UseRealTime()->Unit(benchmark::kMicrosecond)->MinTime(0.3);
  for (const int threads : {1, 2, 4}) {
    for (const int competitors : {0, 1, 2}) benchmark->Args({threads, competitors});
  }
}

BENCHMARK(serial)->Apply(arguments);
BENCHMARK(pool)->Apply(arguments);
BENCHMARK(openmp)->Apply(arguments);

}  // namespace
}  // namespace nibble

BENCHMARK_MAIN();
