// A data set of image files, decoded when they are read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/samples.h"
#include "data/source.h"

namespace nibble {

/// Known by its ending: .jpg, .jpeg, .png in any case; not hidden (a leading dot).
bool is_image_file(const std::filesystem::path& path);

class ImageFiles : public Labelled<RealDataset> {
 public:
  /// `files` are below `root`, one per sample, at least one. The first one's header is read.
  ImageFiles(std::string name, Labels labels, std::filesystem::path root,
             std::vector<std::string> files, const OptionalPreprocess& preprocess);

  Shape sample_shape() const override { return transform_.output_shape(); }
  void read(int64_t index, std::span<float> out) const override;
  std::string file_of(int64_t index) const override {
    return (root_ / files_[static_cast<size_t>(index)]).string();
  }
  std::optional<Preprocess> preprocess() const override { return transform_.preprocess(); }

 private:
  static ImageTransform make_transform(const std::filesystem::path& first,
                                       const OptionalPreprocess& preprocess);

  std::filesystem::path root_;
  std::vector<std::string> files_;
  ImageTransform transform_;
};

}  // namespace nibble
