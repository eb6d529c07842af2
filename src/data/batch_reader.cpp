#include "data/batch_reader.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {

BatchReader::BatchReader(const Dataset& dataset, const Share& samples,
                         const BatchReaderOptions& options)
    : dataset_(dataset),
      end_(std::min(samples.end, dataset.size())),
      options_(options),
      begin_(samples.begin) {
  check(options.batch > 0, "a batch has at least one sample");
  if (options.threads != 1 && end_ - begin_ > options.batch) {
    worker_ = std::thread([this, begin = begin_] { read_ahead(begin); });
  }
}

BatchReader::~BatchReader() {
  if (!worker_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

SampleBatch BatchReader::read(int64_t begin) const {
  const int64_t count = std::min(options_.batch, end_ - begin);
  std::vector<int64_t> indices(static_cast<size_t>(options_.pad ? options_.batch : count));
  for (size_t i = 0; i < indices.size(); ++i) {
    indices[i] = begin + std::min(static_cast<int64_t>(i), count - 1);
  }
  return {read_batch(dataset_, indices, options_.threads), begin, count,
          static_cast<int64_t>(indices.size()) - count};
}

void BatchReader::read_ahead(int64_t begin) {
  for (; begin < end_; begin += options_.batch) {
    std::optional<SampleBatch> batch;
    std::exception_ptr failure;
    try {
      batch = read(begin);
    } catch (...) {
      failure = std::current_exception();
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || (!ready_ && !failure_); });
    if (stopping_) return;
    ready_ = std::move(batch);
    failure_ = failure;
    changed_.notify_all();
    if (failure) return;
  }
}

std::optional<SampleBatch> BatchReader::next() {
  if (begin_ >= end_) return std::nullopt;
  const int64_t begin = begin_;
  begin_ += options_.batch;
  if (!worker_.joinable()) return read(begin);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ready_ || failure_; });
  if (failure_) std::rethrow_exception(failure_);
  std::optional<SampleBatch> batch = std::exchange(ready_, std::nullopt);
  lock.unlock();
  changed_.notify_all();
  return batch;
}

}  // namespace nibble
