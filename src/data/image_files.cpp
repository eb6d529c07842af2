#include "data/image_files.h"

#include <algorithm>

#include "base/check.h"
#include "base/file.h"

namespace nibble {
namespace {

std::span<const uint8_t> as_bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::optional<std::filesystem::path> first_folder(const std::filesystem::path& root,
                                                  std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::filesystem::is_directory(root / name)) return root / name;
  }
  return std::nullopt;
}

}  // namespace

bool is_image_file(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (path.filename().string().front() == '.') return false;
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

std::vector<std::string> images_below(const std::filesystem::path& root, const std::string& name) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           root / name, std::filesystem::directory_options::follow_directory_symlink)) {
    if (!is_image_file(entry.path()) || !entry.is_regular_file()) continue;
    files.push_back(entry.path().lexically_relative(root).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool has_images(const std::filesystem::path& folder) {
  const auto is_image = [](const std::filesystem::directory_entry& entry) {
    return is_image_file(entry.path()) && entry.is_regular_file();
  };
  const std::filesystem::directory_iterator entries(folder);
  return std::any_of(begin(entries), end(entries), is_image);
}

std::map<Split, std::filesystem::path> folder_parts(const std::filesystem::path& root,
                                                    bool& whole) {
  std::map<Split, std::filesystem::path> parts;
  if (auto train = first_folder(root, {"train", "training"})) parts[Split::train] = *train;
  if (auto test = first_folder(root, {"test", "testing"})) parts[Split::test] = *test;
  if (auto val = first_folder(root, {"val", "valid", "validation"})) {
    parts[parts.contains(Split::test) ? Split::validation : Split::test] = *val;
  }
  whole = parts.empty();
  if (whole) parts[Split::train] = root;
  return parts;
}

ImageTransform ImageFiles::make_transform(const std::filesystem::path& first,
                                          const DataOptions& options) {
  const std::string bytes = read_file(first);
  return with_context([&] { return first.string(); },
                      [&] {
                        const ImageSize size = image_size(as_bytes(bytes));
                        return ImageTransform(
                            chosen_preprocess(default_preprocess(size.channels), options), size);
                      });
}

ImageFiles::ImageFiles(std::string name, Labels labels, std::filesystem::path root,
                       std::vector<std::string> files, const DataOptions& options)
    : Labelled(std::move(name), std::move(labels)),
      root_(std::move(root)),
      files_(std::move(files)),
      transform_(make_transform(root_ / files_.front(), options)) {
  check(static_cast<int64_t>(files_.size()) == size(), "one file per sample");
}

void ImageFiles::read(int64_t index, std::span<float> out) const {
  const std::filesystem::path path = root_ / files_[static_cast<size_t>(index)];
  const std::string bytes = read_file(path);
  with_context([&] { return path.string(); },
               [&] { transform_.apply(decode_image(as_bytes(bytes)), out); });
}

}  // namespace nibble
