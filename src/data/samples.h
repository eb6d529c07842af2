// What the data sets have in common: a name, labels where there are some, and images held as bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/image.h"
#include "nibble/data.h"

namespace nibble {

struct Labels {
  std::vector<int32_t> values;     // each in [0, classes); empty if there are no labels
  int classes = 0;                 // 0: no labels
  std::vector<std::string> names;  // empty, or one per class
  int64_t unlabelled = 0;          // how many samples there are, if they have no labels

  static Labels none(int64_t samples) { return {.unlabelled = samples}; }
  int64_t samples() const {
    return classes == 0 ? unlabelled : static_cast<int64_t>(values.size());
  }
};

/// Labels numbered from zero, as a file gives them: `classes` is the largest + 1. Throws
/// Error{invalid_data} naming `file` if one is negative or absurdly large.
Labels number_labels(std::span<const int64_t> values, const std::string& file);

/// "NAME: 5,000 samples, 10 classes", or "..., no labels".
std::string describe_samples(std::string_view name, int64_t samples, int classes);

/// A data set that has its labels, if any, in memory. `Base` is Dataset or one that derives from
/// it.
template <typename Base>
class Labelled : public Base {
 public:
  /// `name` is what describe() calls it.
  Labelled(std::string name, Labels labels) : name_(std::move(name)), labels_(std::move(labels)) {}

  int64_t size() const override { return labels_.samples(); }
  int classes() const override { return labels_.classes; }
  const std::vector<std::string>& class_names() const override { return labels_.names; }
  int64_t label(int64_t index) const override { return labels_.values[static_cast<size_t>(index)]; }
  std::string describe() const override { return describe_samples(name_, size(), labels_.classes); }

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
class PixelDataset : public Labelled<RealDataset> {
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
