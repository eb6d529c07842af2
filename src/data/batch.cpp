// read_batch: samples are decoded by a pool that is kept for the next batch.
#include <mutex>
#include <numeric>

#include "base/check.h"
#include "base/thread_pool.h"
#include "data/batch_shape.h"
#include "nibble/data.h"

namespace nibble {
namespace {

// Pools that nobody uses at the moment. Several callers may read batches at once: each takes one.
class PoolCache {
 public:
  std::unique_ptr<ThreadPool> take(int threads) {
    {
      const std::lock_guard lock(mutex_);
      for (auto& pool : idle_) {
        if (pool->threads() != threads) continue;
        std::swap(pool, idle_.back());
        std::unique_ptr<ThreadPool> taken = std::move(idle_.back());
        idle_.pop_back();
        return taken;
      }
    }
    return std::make_unique<ThreadPool>(threads);
  }
  void give_back(std::unique_ptr<ThreadPool> pool) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < 4) idle_.push_back(std::move(pool));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<ThreadPool>> idle_;
};

PoolCache& pools() {
  static PoolCache cache;
  return cache;
}

}  // namespace

Tensor read_batch(const Dataset& dataset, std::span<const int64_t> indices, int threads) {
  const Shape sample = dataset.sample_shape();
  for (int64_t index : indices) {
    if (index >= 0 && index < dataset.size()) continue;
    fail(ErrorCode::invalid_argument, "there is no sample {} in {}", index, dataset.describe());
  }
  Tensor batch(DType::f32, batch_shape(dataset, static_cast<int64_t>(indices.size())));
  const std::span<float> values = batch.data<float>();
  const auto stride = static_cast<size_t>(sample.elements());
  if (threads <= 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::unique_ptr<ThreadPool> pool = pools().take(threads);
  pool->parallel_for(static_cast<int64_t>(indices.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    dataset.read(indices[at], values.subspan(at * stride, stride));
  });
  pools().give_back(std::move(pool));
  return batch;
}

Tensor read_batch(const Dataset& dataset, int64_t begin, int64_t count, int threads) {
  std::vector<int64_t> indices(static_cast<size_t>(std::max<int64_t>(count, 0)));
  std::iota(indices.begin(), indices.end(), begin);
  return read_batch(dataset, indices, threads);
}

}  // namespace nibble
