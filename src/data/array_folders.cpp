// Folders of arrays: one .npy per input with a row per sample, or one .npz per sample.
#include <algorithm>

#include "base/check.h"
#include "data/array_set.h"
#include "data/records.h"
#include "data/source.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// Files in `folder` that end with `ending` and are not hidden, in the order of their names.
std::vector<fs::path> files_in(const std::string& folder, std::string_view ending) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(ending) && name.front() != '.' && entry.is_regular_file()) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

std::string array_name(const ZipEntry& entry) {
  return entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name;
}

RecordEntry entry_type(const Bytes& archive, const ZipEntry& entry, const ArrayRole& role) {
  constexpr size_t kLongestHeader = 1U << 16U;
  const NpyHeader header = npy_header(extract_start(archive.view(), entry, kLongestHeader));
  return {array_name(entry), role, header.dtype, header.shape, {}};
}

RecordEntry entry_tensor(const Bytes& archive, const ZipEntry& entry, const ArrayRole& role) {
  const Tensor tensor = npy_tensor(extract(archive.view(), entry)).clone();
  return {array_name(entry), role, tensor.dtype(), tensor.shape(), tensor};
}

Record read_npz(const fs::path& path, const DataOptions& options, bool types_only) {
  return with_context(
      [&] { return path.string(); },
      [&] {
        const Bytes archive = Bytes::map(path);
        Record record;
        for (const ZipEntry& entry : zip_entries(archive.view())) {
          const ArrayRole role = role_of(array_name(entry), options);
          const bool type = types_only && role.kind != ArrayRole::Kind::label;
          record.push_back(with_context([&] { return entry.name; },
                                        [&] {
                                          return type ? entry_type(archive, entry, role)
                                                      : entry_tensor(archive, entry, role);
                                        }));
        }
        return record;
      });
}

}  // namespace

std::optional<Source> find_npy_folder(const std::string& spec, const DataOptions& options) {
  const std::vector<fs::path> files = files_in(spec, ".npy");
  if (files.empty()) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    std::vector<NamedArray> arrays;
    for (const fs::path& file : files) {
      arrays.push_back({role_of(file.stem().string(), options), load_array(file)});
    }
    return join_arrays(name, std::move(arrays), options);
  };
  return source;
}

std::optional<Source> find_npz_folder(const std::string& spec, const DataOptions& options) {
  const auto files = std::make_shared<const std::vector<fs::path>>(files_in(spec, ".npz"));
  if (files->empty()) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    const auto file = [files](int64_t index) { return (*files)[static_cast<size_t>(index)]; };
    return open_records(
        {.name = name,
         .samples = static_cast<int64_t>(files->size()),
         .place = [file](int64_t index) { return file(index).string(); },
         .read = [file, options](int64_t index) { return read_npz(file(index), options, false); },
         .types = [file, options](int64_t index) { return read_npz(file(index), options, true); }});
  };
  return source;
}

}  // namespace nibble
