// What the training tests share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "nibble/error.h"
#include "nibble/train.h"
#include "support/paths.h"
#include "support/tensors.h"
#include "train/backend.h"

/// Skips the test, by name, where libnibble_train was not built.
#define NIBBLE_NEEDS_TRAINING() \
  if (!nibble::testing::has_training()) GTEST_SKIP() << "libnibble_train is not built"

namespace nibble::testing {

/// Small images of two or more classes: class k has a bright row k on noise.
class StripedImages final : public RealDataset {
 public:
  StripedImages(int64_t count, int classes, uint64_t seed, float bright = 2)
      : count_(count), classes_(classes), seed_(seed), bright_(bright) {}

  int64_t size() const override { return count_; }
  Shape sample_shape() const override { return {1, 8, 8}; }
  int classes() const override { return classes_; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t index) const override { return index % classes_; }
  void read(int64_t index, std::span<float> out) const override {
    Random random(seed_ * 1000 + static_cast<uint64_t>(index));
    for (size_t i = 0; i < out.size(); ++i) {
      const bool striped = i / 8 == static_cast<size_t>(label(index));
      out[i] = static_cast<float>(random.normal()) * 0.5F + (striped ? bright_ : 0);
    }
  }
  std::string describe() const override { return "stripes"; }

 private:
  int64_t count_;
  int classes_;
  uint64_t seed_;
  float bright_;
  std::vector<std::string> names_;
};

/// The error that `body` ends in.
template <typename Body>
Error caught(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::io, "no error"};
}

/// Share of samples whose largest output is the label's.
inline double accuracy(std::span<const float> outputs, const Dataset& data) {
  const auto classes = outputs.size() / static_cast<size_t>(data.size());
  int64_t right = 0;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto row = outputs.subspan(static_cast<size_t>(i) * classes, classes);
    right += std::ranges::max_element(row) - row.begin() == data.label(i) ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

/// Bytes of all constants, to compare networks bit for bit.
inline std::string constants_of(const Graph& graph) {
  std::string bytes;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant()) continue;
    bytes.append(static_cast<const char*>(value.data.raw()), value.data.bytes());
  }
  return bytes;
}

}  // namespace nibble::testing
