// Pictures without classes: an image file, or a folder with some in it and perhaps more below; or
// those in train/, test/ and val/.
#include "data/image_files.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

std::shared_ptr<const Dataset> open_pictures(const std::string& name, const fs::path& root,
                                             std::vector<std::string> files,
                                             const DataOptions& options) {
  Labels labels = Labels::none(static_cast<int64_t>(files.size()));
  return std::make_shared<ImageFiles>(name, std::move(labels), root, std::move(files), options);
}

}  // namespace

std::optional<Source> find_pictures(const std::string& spec, const DataOptions& options) {
  const fs::path root(spec);
  Source source{.name = source_name(spec), .whole = true};
  if (is_image_file(root) && fs::is_regular_file(root)) {
    source.parts[Split::train] = [=, name = source.name] {
      return open_pictures(name, root.parent_path(), {root.filename().string()}, options);
    };
    return source;
  }
  if (!fs::is_directory(root)) return std::nullopt;
  for (const auto& [split, path] : folder_parts(root, source.whole)) {
    if (!has_images(path)) continue;
    source.parts[split] = [=, name = source.name, part = path] {
      return open_pictures(name, part, images_below(part, "."), options);
    };
  }
  if (source.parts.empty()) return std::nullopt;
  return source;
}

}  // namespace nibble
