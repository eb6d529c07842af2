// Samples that say nothing are named.
#include "ranges/calibration_notes.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

class Samples : public RealDataset {
 public:
  Samples(std::vector<float> values, std::vector<int64_t> labels)
      : values_(std::move(values)), labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()) / 2; }
  Shape sample_shape() const override { return {2}; }
  int classes() const override { return labels_.empty() ? 0 : 3; }
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  void read(int64_t index, std::span<float> out) const override {
    std::copy_n(values_.begin() + 2 * index, 2, out.begin());
  }
  std::string describe() const override { return "samples"; }

 private:
  std::vector<float> values_;
  std::vector<int64_t> labels_;
};

std::string notes_of(const Samples& data, int64_t batch) {
  CalibrationNotes notes(data);
  for (BatchReader reader(data, {0, data.size()}, {.batch = batch, .threads = 1, .pad = false});
       const auto next = reader.next();) {
    notes.see(*next);
  }
  std::string text;
  for (const std::string& sentence : notes.sentences()) text += sentence + "\n";
  return text;
}

TEST(calibration_notes, are_silent_on_samples_that_differ) {
  EXPECT_EQ(notes_of(Samples({1, 2, 3, 4, 1, 2}, {0, 1, 1}), 2), "");
  EXPECT_EQ(notes_of(Samples({1, 2}, {0}), 2), "");
}

// A rate beside samples that differ.
class WithRate : public Dataset {
 public:
  int64_t size() const override { return 3; }
  std::vector<Field> fields() const override {
    return {{.name = "x", .shape = {2}}, {.name = "rate", .dtype = DType::i64, .shape = {}}};
  }
  std::vector<Tensor> sample(int64_t index) const override {
    const auto x = static_cast<float>(index);
    return {Tensor::of<float>({2}, {x, 1}), Tensor::scalar<int64_t>(16000)};
  }
  std::string describe() const override { return "sound"; }
};

TEST(calibration_notes, are_silent_on_an_integer_that_is_always_the_same) {
  const WithRate data;
  CalibrationNotes notes(data);
  for (BatchReader reader(data, {0, 3}, {.batch = 3, .threads = 1});
       const auto next = reader.next();) {
    notes.see(*next);
  }
  EXPECT_TRUE(notes.sentences().empty());
}

TEST(calibration_notes, name_one_number_equal_samples_and_a_single_class) {
  EXPECT_EQ(notes_of(Samples({0, 0, 0, 0, 0, 0}, {}), 2),
            "Every element of every sample is 0: ranges measured on them do not hold for others\n");
  EXPECT_EQ(notes_of(Samples({1, 2, 1, 2, 1, 2}, {0, 1, 2}), 2),
            "All 3 samples are equal: ranges measured on them do not hold for others\n");
  EXPECT_EQ(notes_of(Samples({1, 2, 3, 4, 1, 2}, {2, 2, 2}), 1),
            "All 3 samples are of the class 2: values that other classes reach may be clipped\n");
}

}  // namespace
}  // namespace nibble
