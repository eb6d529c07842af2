// ONNX test vectors, as the model zoo has them: test_data_set_*/input_K.pb with output_K.pb beside
// it, by the positions of the model's inputs and outputs. A folder is a sample.
#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/file.h"
#include "data/records.h"
#include "data/source.h"
#include "nibble/onnx.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// K of "STEM_K.pb".
std::optional<size_t> position(const fs::path& path, std::string_view stem) {
  const std::string name = path.filename().string();
  if (!name.starts_with(stem) || path.extension() != ".pb") return std::nullopt;
  const char* begin = name.data() + stem.size();
  const char* end = name.data() + name.size() - 3;
  size_t number = 0;
  const auto [at, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || at != end || begin == end) return std::nullopt;
  return number;
}

// The name at a position, where the model is known.
std::string name_at(size_t position, const std::vector<Field>& fields, const fs::path& path,
                    const char* what) {
  if (fields.empty()) return position == 0 ? "" : std::to_string(position);
  if (position >= fields.size()) {
    fail(ErrorCode::invalid_data, "{}: the model has {} {}s", path.string(), fields.size(), what);
  }
  return fields[position].name;
}

Record read_folder(const fs::path& folder, const DataOptions& options) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::ranges::sort(files);
  Record record;
  for (const fs::path& path : files) {
    const auto input = position(path, "input_");
    const auto output = position(path, "output_");
    if (!input && !output) continue;
    const ArrayRole role =
        input
            ? ArrayRole{ArrayRole::Kind::field, name_at(*input, options.inputs, path, "input")}
            : ArrayRole{ArrayRole::Kind::target, name_at(*output, options.outputs, path, "output")};
    const Tensor tensor = load_tensor_proto(path);
    record.push_back({path.filename().string(), role, tensor.dtype(), tensor.shape(), tensor});
  }
  return record;
}

std::vector<fs::path> sample_folders(const fs::path& root) {
  std::vector<fs::path> folders;
  if (!fs::is_directory(root)) return folders;
  if (fs::is_regular_file(root / "input_0.pb")) return {root};
  for (const auto& entry : fs::directory_iterator(root)) {
    const bool is_one = entry.path().filename().string().starts_with("test_data_set_");
    if (is_one && entry.is_directory()) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

}  // namespace

std::optional<Source> find_test_vectors(const std::string& spec, const DataOptions& options) {
  const auto folders = std::make_shared<const std::vector<fs::path>>(sample_folders(spec));
  if (folders->empty()) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    const auto folder = [folders](int64_t index) { return (*folders)[static_cast<size_t>(index)]; };
    const auto read = [folder, options](int64_t index) {
      return read_folder(folder(index), options);
    };
    return open_records({.name = name,
                         .samples = static_cast<int64_t>(folders->size()),
                         .place = [folder](int64_t index) { return folder(index).string(); },
                         .read = read,
                         .types = read});
  };
  return source;
}

}  // namespace nibble
