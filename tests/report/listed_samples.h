// A data set of listed tensors, with labels or targets where there are any.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nibble/data.h"

namespace nibble::test {

class ListedSamples : public Dataset {
 public:
  std::vector<Tensor> samples;
  std::vector<int64_t> labels;
  std::vector<Tensor> target_values;
  std::vector<int64_t> starts = {0};  // of sequences
  Field field;
  Field target_field;
  int class_count = 0;

  int64_t size() const override { return static_cast<int64_t>(samples.size()); }
  std::vector<Field> fields() const override { return {field}; }
  std::vector<Tensor> sample(int64_t index) const override {
    return {samples[static_cast<size_t>(index)]};
  }
  int classes() const override { return class_count; }
  int64_t label(int64_t index) const override { return labels[static_cast<size_t>(index)]; }
  std::vector<Field> target_fields() const override {
    if (target_values.empty()) return {};
    return {target_field};
  }
  std::vector<Tensor> targets(int64_t index) const override {
    return {target_values[static_cast<size_t>(index)]};
  }
  bool starts_sequence(int64_t index) const override {
    return std::find(starts.begin(), starts.end(), index) != starts.end();
  }
  std::string describe() const override { return "listed samples"; }
};

/// Samples of `width` floats each.
inline ListedSamples rows_of(int64_t width, const std::vector<float>& values,
                             std::vector<int64_t> labels = {}, int classes = 0) {
  ListedSamples data;
  data.field = {.shape = Shape{width}};
  for (size_t i = 0; i < values.size(); i += static_cast<size_t>(width)) {
    data.samples.push_back(
        Tensor::of<float>({width}, std::span(values).subspan(i, static_cast<size_t>(width))));
  }
  data.labels = std::move(labels);
  data.class_count = classes;
  return data;
}

}  // namespace nibble::test
