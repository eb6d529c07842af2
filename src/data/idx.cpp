// IDX files of the MNIST family: train-images-idx3-ubyte and train-labels-idx1-ubyte, with t10k-
// (or test-) for the test part, gzipped or not. Layout: 0 0 type rank, then the extents as
// big-endian 32-bit numbers, then the data (http://yann.lecun.com/exdb/mnist/).
#include <algorithm>

#include "base/check.h"
#include "data/samples.h"
#include "data/source.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

constexpr uint8_t kUnsignedByte = 8;
constexpr size_t kLargestFile = size_t{1} << 36;

struct IdxFile {
  Bytes bytes;
  size_t offset = 0;  // of the data
  std::vector<int64_t> extents;
};

IdxFile read_idx(const fs::path& path, size_t rank) {
  IdxFile file;
  file.bytes = path.extension() == ".gz" ? Bytes(read_gzip(path, kLargestFile)) : Bytes::map(path);
  const std::span<const uint8_t> data = file.bytes.view();
  if (data.size() < 4 || data[0] != 0 || data[1] != 0 || data[2] != kUnsignedByte) {
    fail(ErrorCode::invalid_data, "{}: not an IDX file of unsigned bytes", path.string());
  }
  if (data[3] != rank) {
    fail(ErrorCode::invalid_data, "{}: holds an array of {} dimensions, expected {}", path.string(),
         data[3], rank);
  }
  file.offset = 4 + 4 * rank;
  uint64_t elements = 1;
  for (size_t at = 4; at < file.offset && file.offset <= data.size(); at += 4) {
    const uint32_t extent = uint32_t{data[at]} << 24U | uint32_t{data[at + 1]} << 16U |
                            uint32_t{data[at + 2]} << 8U | data[at + 3];
    file.extents.push_back(extent);
    // Saturates instead of wrapping: no file is that large.
    if (__builtin_mul_overflow(elements, uint64_t{extent}, &elements)) elements = ~uint64_t{0};
  }
  if (file.extents.size() != rank || data.size() - file.offset != elements) {
    fail(ErrorCode::invalid_data, "{}: has {} bytes, which its header does not agree with",
         path.string(), data.size());
  }
  return file;
}

// "train-images-idx3-ubyte", with '.' for the second '-' in some distributions, or gzipped.
std::optional<fs::path> find_file(const fs::path& folder, const std::string& stem,
                                  const char* kind) {
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      const fs::path path = folder / (stem + separator + kind + "-ubyte" + ending);
      if (fs::is_regular_file(path)) return path;
    }
  }
  return std::nullopt;
}

std::shared_ptr<const Dataset> open_part(const std::string& name, const fs::path& images_path,
                                         const fs::path& labels_path, const DataOptions& options) {
  const IdxFile images = read_idx(images_path, 3);
  const IdxFile labels = read_idx(labels_path, 1);
  if (images.extents[0] != labels.extents[0]) {
    fail(ErrorCode::invalid_data, "{} has {} images, {} has {} labels", images_path.string(),
         images.extents[0], labels_path.string(), labels.extents[0]);
  }
  for (size_t axis : {size_t{1}, size_t{2}}) {
    if (images.extents[axis] < 1 || images.extents[axis] > 1 << 14) {
      fail(ErrorCode::invalid_data, "{}: images of {}x{} pixels", images_path.string(),
           images.extents[1], images.extents[2]);
    }
  }
  const auto data = labels.bytes.view().subspan(labels.offset);
  const std::vector<int64_t> values(data.begin(), data.end());
  const auto height = static_cast<int>(images.extents[1]);
  const auto width = static_cast<int>(images.extents[2]);
  return std::make_shared<PixelDataset>(
      name, number_labels(values, labels_path.string()),
      PixelBlock{images.bytes, images.offset,
                 static_cast<size_t>(height) * static_cast<size_t>(width), height, width, 1, false},
      chosen_preprocess(default_preprocess(1), options));
}

}  // namespace

std::optional<Source> find_idx(const std::string& spec, const DataOptions& options) {
  Source source{.name = source_name(spec)};
  const auto add = [&](Split split, const std::string& stem) {
    const auto images = find_file(spec, stem + "-images", "idx3");
    const auto labels = find_file(spec, stem + "-labels", "idx1");
    if (!images && !labels) return;
    if (!images || !labels) {
      fail(ErrorCode::invalid_data, "{}: there is no file of {} beside it",
           (images ? *images : *labels).string(), images ? "labels" : "images");
    }
    source.parts[split] = [=, name = source.name] {
      return open_part(name, *images, *labels, options);
    };
  };
  add(Split::train, "train");
  add(Split::test, "test");
  add(Split::test, "t10k");
  if (source.parts.empty()) return std::nullopt;
  return source;
}

}  // namespace nibble
