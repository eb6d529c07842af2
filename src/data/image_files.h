// A data set of image files, decoded when they are read.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/samples.h"
#include "data/source.h"

namespace nibble {

/// Known by its ending: .jpg, .jpeg, .png in any case; not hidden (a leading dot).
bool is_image_file(const std::filesystem::path& path);

/// Image files below `root / name`, at any depth, relative to root, in order.
std::vector<std::string> images_below(const std::filesystem::path& root, const std::string& name);
/// Some image lies in the folder itself.
bool has_images(const std::filesystem::path& folder);

/// The folders train/ (training/), test/ (testing/) and val/ (valid/, validation/) of `root`, as
/// far as there are; val/ is the test part where there is no other. None of them: root is the
/// training part, and `whole` is set.
std::map<Split, std::filesystem::path> folder_parts(const std::filesystem::path& root, bool& whole);

class ImageFiles : public Labelled<RealDataset> {
 public:
  /// `files` are below `root`, one per sample, at least one. The first one's header is read.
  ImageFiles(std::string name, Labels labels, std::filesystem::path root,
             std::vector<std::string> files, const DataOptions& options);

  Shape sample_shape() const override { return transform_.output_shape(); }
  void read(int64_t index, std::span<float> out) const override;
  std::string file_of(int64_t index) const override {
    return (root_ / files_[static_cast<size_t>(index)]).string();
  }
  std::optional<Preprocess> preprocess() const override { return transform_.preprocess(); }

 private:
  static ImageTransform make_transform(const std::filesystem::path& first,
                                       const DataOptions& options);

  std::filesystem::path root_;
  std::vector<std::string> files_;
  ImageTransform transform_;
};

}  // namespace nibble
