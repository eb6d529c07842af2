// read_batch: samples are decoded by a pool that is kept for the next batch.
#include <cstring>
#include <mutex>
#include <numeric>

#include "base/check.h"
#include "base/machine.h"
#include "base/thread_pool.h"
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

// One [N,...] tensor for each field.
std::vector<Tensor> stack(const Dataset& dataset, std::span<const int64_t> indices,
                          const std::vector<std::vector<Tensor>>& samples) {
  const std::vector<Field> fields = dataset.fields();
  std::vector<Tensor> batch;
  for (size_t k = 0; k < fields.size(); ++k) {
    Shape shape{static_cast<int64_t>(samples.size())};
    const Shape first = samples.empty() ? fields[k].shape : samples[0][k].shape();
    for (const int64_t extent : first.dims()) shape.push_back(extent);
    Tensor all(fields[k].dtype, shape);
    auto* to = static_cast<std::byte*>(all.raw());
    for (size_t i = 0; i < samples.size(); ++i) {
      const Tensor& one = samples[i][k];
      check(one.dtype() == fields[k].dtype, "a sample has the type of its field");
      if (!(one.shape() == first)) {
        fail(ErrorCode::invalid_data, "{}: '{}' is {} in sample {} and {} in sample {}",
             dataset.describe(), fields[k].name, first.to_string(), indices[0],
             one.shape().to_string(), indices[i]);
      }
      std::memcpy(to + i * one.bytes(), one.raw(), one.bytes());
    }
    batch.push_back(std::move(all));
  }
  return batch;
}

}  // namespace

std::vector<Tensor> read_batch(const Dataset& dataset, std::span<const int64_t> indices,
                               int threads) {
  for (int64_t index : indices) {
    if (index >= 0 && index < dataset.size()) continue;
    fail(ErrorCode::invalid_argument, "there is no sample {} in {}", index, dataset.describe());
  }
  if (threads <= 0) threads = cores();
  std::unique_ptr<ThreadPool> pool = pools().take(threads);
  std::vector<std::vector<Tensor>> samples(indices.size());
  pool->parallel_for(static_cast<int64_t>(indices.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    samples[at] = dataset.sample(indices[at]);
  });
  pools().give_back(std::move(pool));
  return stack(dataset, indices, samples);
}

std::vector<Tensor> read_batch(const Dataset& dataset, int64_t begin, int64_t count, int threads) {
  std::vector<int64_t> indices(static_cast<size_t>(std::max<int64_t>(count, 0)));
  std::iota(indices.begin(), indices.end(), begin);
  return read_batch(dataset, indices, threads);
}

}  // namespace nibble
