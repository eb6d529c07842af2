// Reads a data set in batches, decoding the next one while the caller works on the current one.
#pragma once

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "nibble/data.h"
#include "nibble/ranks.h"

namespace nibble {

struct BatchReaderOptions {
  int64_t batch = 32;
  int threads = 0;  // that decode; 0: one per core. 1: no decoding ahead either
  /// The last batch is filled up with its last sample, so that all have one shape.
  bool pad = true;
};

struct SampleBatch {
  std::vector<Tensor> samples;  // by field, [fed(), sample...]
  int64_t begin = 0;            // index of the first sample
  int64_t count = 0;            // without padding
  int64_t padding = 0;
  int64_t fed() const { return count + padding; }
};

class BatchReader {
 public:
  /// Samples [begin, end) of `dataset`, which must outlive the reader.
  BatchReader(const Dataset& dataset, const Share& samples, const BatchReaderOptions& options);
  ~BatchReader();
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;

  /// The next batch, or nothing at the end. Rethrows what reading it threw.
  std::optional<SampleBatch> next();

 private:
  SampleBatch read(int64_t begin) const;
  void read_ahead(int64_t begin);

  const Dataset& dataset_;
  const int64_t end_;
  const BatchReaderOptions options_;
  int64_t begin_;  // of the batch that next() returns next

  // Between the two threads: at most one batch (or the exception that took its place) waits.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<SampleBatch> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread worker_;
};

}  // namespace nibble
