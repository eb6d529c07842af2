#include "data/batch_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "nibble/error.h"

namespace nibble {
namespace {

// Sample i is the number i; counts how many are read.
class Counting : public RealDataset {
 public:
  explicit Counting(int64_t size, int64_t broken = -1) : size_(size), broken_(broken) {}
  int64_t size() const override { return size_; }
  Shape sample_shape() const override { return Shape{2}; }
  int classes() const override { return 1; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t) const override { return 0; }
  void read(int64_t index, std::span<float> out) const override {
    ++reads_;
    if (index == broken_) throw Error(ErrorCode::invalid_data, "broken");
    std::fill(out.begin(), out.end(), static_cast<float>(index));
  }
  std::string describe() const override { return "counting"; }
  int64_t reads() const { return reads_; }

 private:
  int64_t size_;
  int64_t broken_;
  std::vector<std::string> names_;
  mutable std::atomic<int64_t> reads_{0};
};

TEST(BatchReader, serves_every_sample_once_in_order) {
  const Counting data(23);
  for (int threads : {1, 2, 4}) {
    for (bool pad : {false, true}) {
      BatchReader reader(data, {0, 23}, {.batch = 5, .threads = threads, .pad = pad});
      int64_t seen = 0;
      while (const auto batch = reader.next()) {
        EXPECT_EQ(batch->begin, seen);
        EXPECT_EQ(batch->samples[0].shape()[0], pad ? 5 : batch->count);
        for (int64_t i = 0; i < batch->samples[0].shape()[0]; ++i) {
          // Padding repeats the last sample.
          const int64_t expected = std::min<int64_t>(seen + i, 22);
          EXPECT_EQ(batch->samples[0].data<float>()[static_cast<size_t>(2 * i)],
                    static_cast<float>(expected));
        }
        seen += batch->count;
      }
      EXPECT_EQ(seen, 23);
      EXPECT_FALSE(reader.next());
    }
  }
}

TEST(BatchReader, stops_at_the_count) {
  const Counting data(100);
  BatchReader reader(data, {0, 7}, {.batch = 4, .threads = 2, .pad = false});
  EXPECT_EQ(reader.next()->count, 4);
  EXPECT_EQ(reader.next()->count, 3);
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(data.reads(), 7);
}

TEST(BatchReader, reads_ahead_by_two_batches_at_most_and_can_be_dropped) {
  for (int round = 0; round < 50; ++round) {
    const Counting data(1000);
    {
      BatchReader reader(data, {0, 1000}, {.batch = 10, .threads = 2});
      reader.next();
    }
    EXPECT_LE(data.reads(), 30);
  }
}

TEST(BatchReader, an_error_comes_out_where_its_batch_would) {
  const Counting data(30, 17);
  for (int threads : {1, 3}) {
    BatchReader reader(data, {0, 30}, {.batch = 8, .threads = threads});
    EXPECT_TRUE(reader.next());
    EXPECT_TRUE(reader.next());
    EXPECT_THROW(reader.next(), Error);
  }
}

TEST(BatchReader, of_nothing_has_no_batches) {
  const Counting data(0);
  BatchReader reader(data, {0, 10}, {.batch = 4, .threads = 2});
  EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace nibble
