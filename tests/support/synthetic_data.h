// A data set without files.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "nibble/data.h"

namespace nibble::testing {

// Sample i: channel c is normal around c, all from the seed i.
class Synthetic : public RealDataset {
 public:
  Synthetic(int64_t size, Shape shape) : size_(size), shape_(shape) {}
  int64_t size() const override { return size_; }
  Shape sample_shape() const override { return shape_; }
  int classes() const override { return 2; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t index) const override { return index % 2; }
  void read(int64_t index, std::span<float> out) const override {
    Random random(static_cast<uint64_t>(index));
    const size_t plane = out.size() / static_cast<size_t>(shape_[0]);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(random.normal()) + static_cast<float>(i / plane);
    }
    if (index == bad_sample) out[3] = bad_value;
  }
  std::string describe() const override { return "synthetic data"; }

  int64_t bad_sample = -1;
  float bad_value = std::nanf("");

 private:
  int64_t size_;
  Shape shape_;
  std::vector<std::string> names_;
};

}  // namespace nibble::testing
