#include "data/image_files.h"

#include <algorithm>

#include "base/check.h"
#include "base/file.h"

namespace nibble {
namespace {

std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

bool is_image_file(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (path.filename().string().front() == '.') return false;
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

ImageTransform ImageFiles::make_transform(const std::filesystem::path& first,
                                          const OptionalPreprocess& preprocess) {
  const std::string bytes = read_file(first);
  return with_context([&] { return first.string(); },
                      [&] {
                        const ImageSize size = image_size(as_bytes(bytes));
                        return ImageTransform(
                            preprocess.value_or(default_preprocess(size.channels)), size);
                      });
}

ImageFiles::ImageFiles(std::string name, Labels labels, std::filesystem::path root,
                       std::vector<std::string> files, const OptionalPreprocess& preprocess)
    : Labelled(std::move(name), std::move(labels)),
      root_(std::move(root)),
      files_(std::move(files)),
      transform_(make_transform(root_ / files_.front(), preprocess)) {
  check(static_cast<int64_t>(files_.size()) == size(), "one file per sample");
}

void ImageFiles::read(int64_t index, std::span<float> out) const {
  const std::filesystem::path path = root_ / files_[static_cast<size_t>(index)];
  const std::string bytes = read_file(path);
  with_context([&] { return path.string(); },
               [&] { transform_.apply(decode_image(as_bytes(bytes)), out); });
}

}  // namespace nibble
