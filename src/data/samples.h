// What the data sets have in common: labels with class names, and images held as bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"
#include "nibble/data.h"

namespace nibble {

struct Labels {
  std::vector<int32_t> values;  // each in [0, classes)
  int classes = 0;
  std::vector<std::string> names;  // empty, or one per class
};

/// Labels numbered from zero, as a file gives them: `classes` is the largest + 1. Throws
/// Error{invalid_data} naming `file` if one is negative or absurdly large.
Labels number_labels(std::span<const int64_t> values, const std::string& file);

/// A data set whose labels are in memory. `name` is what describe() calls it.
class LabelledDataset : public Dataset {
 public:
  LabelledDataset(std::string name, Labels labels)
      : name_(std::move(name)), labels_(std::move(labels)) {}

  int64_t size() const override { return static_cast<int64_t>(labels_.values.size()); }
  int classes() const override { return labels_.classes; }
  const std::vector<std::string>& class_names() const override { return labels_.names; }
  int64_t label(int64_t index) const override { return labels_.values[static_cast<size_t>(index)]; }
  std::string describe() const override;

 private:
  std::string name_;
  Labels labels_;
};

/// Images of one size in one block of bytes.
struct PixelBlock {
  Bytes bytes;
  size_t offset = 0;  // of the first image
  size_t stride = 0;  // from one image to the next
  int height = 0;
  int width = 0;
  int channels = 1;
  bool planar = false;  // [C,H,W] rather than [H,W,C]
};

/// Serves images out of a block; every one is preprocessed when it is read.
class PixelDataset : public LabelledDataset {
 public:
  PixelDataset(std::string name, Labels labels, PixelBlock block, const Preprocess& preprocess);

  Shape sample_shape() const override { return transform_.output_shape(); }
  void read(int64_t index, std::span<float> out) const override;
  std::optional<Preprocess> preprocess() const override { return transform_.preprocess(); }

 private:
  PixelBlock block_;
  ImageTransform transform_;
};

/// The order [0, labels) in which every prefix holds the classes in about their proportions:
/// shuffled within each class by `seed`, then merged evenly.
std::vector<int64_t> stratified_order(std::span<const int32_t> labels, uint64_t seed);

/// subset() under another name.
std::unique_ptr<Dataset> named_subset(std::shared_ptr<const Dataset> dataset,
                                      std::vector<int64_t> indices, std::string name);

}  // namespace nibble
