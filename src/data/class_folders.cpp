// Class folders: DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg with test/ and val/ (or valid/,
// validation/) beside it. Classes are numbered in the order of their names: as numbers if all of
// them are, else by bytes.
#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "data/image_files.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::optional<int64_t> as_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

void sort_names(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  if (!std::all_of(names.begin(), names.end(), [](const auto& n) { return as_number(n); })) return;
  std::stable_sort(names.begin(), names.end(),
                   [](const auto& a, const auto& b) { return *as_number(a) < *as_number(b); });
}

// The names of the folders in `folder` that are not hidden, in order.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::string name = entry.path().filename().string();
    if (entry.is_directory() && name.front() != '.') names.push_back(std::move(name));
  }
  if (error) fail(ErrorCode::io, "{}: cannot read: {}", folder.string(), error.message());
  sort_names(names);
  return names;
}

std::shared_ptr<const Dataset> open_part(const std::string& name, const fs::path& root,
                                         const std::vector<std::string>& classes,
                                         const DataOptions& options) {
  Labels labels{.classes = static_cast<int>(classes.size()), .names = classes};
  std::vector<std::string> files;
  for (size_t c = 0; c < classes.size(); ++c) {
    if (!fs::is_directory(root / classes[c])) continue;  // no sample of this class in this part
    for (std::string& file : images_below(root, classes[c])) {
      files.push_back(std::move(file));
      labels.values.push_back(static_cast<int32_t>(c));
    }
  }
  if (files.empty()) {
    fail(ErrorCode::invalid_data, "{}: no JPEG or PNG images in its {} class folders",
         root.string(), classes.size());
  }
  return std::make_shared<ImageFiles>(name, std::move(labels), root, std::move(files), options);
}

// The classes are those of the training part; another part may lack some, but has no others.
void check_classes(const fs::path& part, const fs::path& reference,
                   const std::vector<std::string>& classes) {
  for (const std::string& name : folders_in(part)) {
    if (std::find(classes.begin(), classes.end(), name) != classes.end()) continue;
    fail(ErrorCode::invalid_data, "{}: the class '{}' is not among the {} classes of {}",
         part.string(), name, classes.size(), reference.string());
  }
}

}  // namespace

std::optional<Source> find_class_folders(const std::string& spec, const DataOptions& options) {
  const fs::path root(spec);
  if (!fs::is_directory(root)) return std::nullopt;
  bool whole = false;
  const std::map<Split, fs::path> parts = folder_parts(root, whole);
  const fs::path reference =
      parts.contains(Split::train) ? parts.at(Split::train) : parts.begin()->second;
  const std::vector<std::string> classes = folders_in(reference);
  if (classes.empty()) {
    if (whole) return std::nullopt;
    fail(ErrorCode::invalid_data, "{}: no class folders in it", reference.string());
  }
  Source source{.name = source_name(spec), .whole = whole};
  for (const auto& [split, path] : parts) {
    source.parts[split] = [=, name = source.name, part = path] {
      check_classes(part, reference, classes);
      return open_part(name, part, classes, options);
    };
  }
  return source;
}

}  // namespace nibble
