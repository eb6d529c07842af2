// A data set without files.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "nibble/data.h"

namespace nibble::testing {

/// Samples without labels, made by a function of their number.
class Unlabelled : public Dataset {
 public:
  using Make = std::function<std::vector<Tensor>(int64_t index)>;
  Unlabelled(int64_t size, std::vector<Field> fields, Make make)
      : size_(size), fields_(std::move(fields)), make_(std::move(make)) {}
  int64_t size() const override { return size_; }
  std::vector<Field> fields() const override { return fields_; }
  std::vector<Tensor> sample(int64_t index) const override { return make_(index); }
  bool starts_sequence(int64_t index) const override { return index % sequence == 0; }
  std::string describe() const override { return "unlabelled samples"; }
  int64_t sequence = 1000;

 private:
  int64_t size_;
  std::vector<Field> fields_;
  Make make_;
};

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
