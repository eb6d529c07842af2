// Data sets of arrays: X.npy,Y.npy, and .npz files with the names that Keras, MedMNIST and plain
// np.savez(x=..., y=...) give them.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "data/npy.h"
#include "data/samples.h"
#include "data/source.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// A tensor with the bytes it may borrow, and what messages call it.
struct Array {
  Bytes bytes;
  Tensor tensor;
  std::string name;
};

// Rows of an array, taken as they are.
class RowsOfArray : public Labelled<Dataset> {
 public:
  RowsOfArray(std::string name, Labels labels, Array samples)
      : Labelled(std::move(name), std::move(labels)), samples_(std::move(samples)) {
    const auto dims = samples_.tensor.shape().dims().subspan(1);
    shape_ = Shape(dims);
  }
  std::vector<Field> fields() const override {
    return {{.dtype = samples_.tensor.dtype(), .shape = shape_}};
  }
  std::vector<Tensor> sample(int64_t index) const override {
    const size_t bytes = storage_bytes(samples_.tensor.dtype(), shape_.elements());
    const auto* from =
        static_cast<const uint8_t*>(samples_.tensor.raw()) + static_cast<size_t>(index) * bytes;
    return {Tensor::borrow(samples_.tensor.dtype(), shape_, const_cast<uint8_t*>(from))};
  }

 private:
  Array samples_;
  Shape shape_;
};

Labels labels_of(const Array& array, int64_t samples) {
  const Shape& shape = array.tensor.shape();
  if (!is_integer(array.tensor.dtype())) {
    fail(ErrorCode::invalid_data, "{}: labels must be integers, these are {}", array.name,
         name_of(array.tensor.dtype()));
  }
  const bool column = shape.rank() == 2 && shape[1] == 1;
  if (shape.rank() != 1 && !column) {
    fail(ErrorCode::invalid_data, "{}: labels must be of shape [N] or [N,1], these are {}{}",
         array.name, shape.to_string(), shape.rank() == 2 ? " (one-hot? take argmax)" : "");
  }
  if (shape[0] != samples) {
    fail(ErrorCode::invalid_data, "{}: {} labels for {} samples", array.name, shape[0], samples);
  }
  const Tensor wide = convert(array.tensor, DType::i64);
  return number_labels(wide.data<int64_t>(), array.name);
}

// Bytes as images: [N,H,W], [N,H,W,C] or, if only that fits, [N,C,H,W], with 1 or 3 channels.
std::optional<PixelBlock> as_images(const Array& array) {
  const Shape& shape = array.tensor.shape();
  if (array.tensor.dtype() != DType::u8 || shape.rank() < 3 || shape.rank() > 4) return {};
  for (int64_t extent : shape.dims().subspan(1)) {
    if (extent < 1 || extent > 1 << 14) return {};
  }
  const auto is_channels = [&](int axis) { return shape[axis] == 1 || shape[axis] == 3; };
  const bool planar = shape.rank() == 4 && !is_channels(3) && is_channels(1);
  if (shape.rank() == 4 && !planar && !is_channels(3)) return {};
  const int first = planar ? 2 : 1;
  const int channels = shape.rank() == 3 ? 1 : static_cast<int>(shape[planar ? 1 : 3]);
  return PixelBlock{array.bytes,
                    static_cast<size_t>(static_cast<const uint8_t*>(array.tensor.raw()) -
                                        array.bytes.view().data()),
                    static_cast<size_t>(shape.elements(1, shape.rank())),
                    static_cast<int>(shape[first]),
                    static_cast<int>(shape[first + 1]),
                    channels,
                    planar};
}

std::shared_ptr<const Dataset> open_arrays(const std::string& name, Array samples,
                                           const Array& labels,
                                           const OptionalPreprocess& preprocess) {
  const Shape& shape = samples.tensor.shape();
  if (shape.rank() < 2) {
    fail(ErrorCode::invalid_data, "{}: samples must be of shape [N,...], these are {}",
         samples.name, shape.to_string());
  }
  Labels numbered = labels_of(labels, shape[0]);
  if (auto block = as_images(samples)) {
    const Preprocess chosen = preprocess.value_or(default_preprocess(block->channels));
    return std::make_shared<PixelDataset>(name, std::move(numbered), *std::move(block), chosen);
  }
  return std::make_shared<RowsOfArray>(name, std::move(numbered), std::move(samples));
}

// Keeps the tensor inside its bytes, also when it had to be reordered.
Array make_array(Bytes bytes, std::string name) {
  return with_context([&] { return name; },
                      [&] {
                        Array array{bytes, npy_tensor(bytes.view()), name};
                        const auto* begin = static_cast<const uint8_t*>(array.tensor.raw());
                        const auto all = bytes.view();
                        if (begin < all.data() || begin >= all.data() + all.size()) {
                          array.bytes = Bytes(std::vector(begin, begin + array.tensor.bytes()));
                          array.tensor =
                              Tensor::borrow(array.tensor.dtype(), array.tensor.shape(),
                                             const_cast<uint8_t*>(array.bytes.view().data()));
                        }
                        return array;
                      });
}

// Entry names by split; the first pair that is there counts.
struct EntryNames {
  Split split;
  const char* samples;
  const char* labels;
};
constexpr EntryNames kEntries[] = {{Split::train, "x_train", "y_train"},
                                   {Split::train, "train_images", "train_labels"},
                                   {Split::train, "X_train", "y_train"},
                                   {Split::validation, "x_val", "y_val"},
                                   {Split::validation, "val_images", "val_labels"},
                                   {Split::validation, "X_val", "y_val"},
                                   {Split::test, "x_test", "y_test"},
                                   {Split::test, "test_images", "test_labels"},
                                   {Split::test, "X_test", "y_test"}};
constexpr EntryNames kWhole[] = {{Split::train, "x", "y"},
                                 {Split::train, "X", "y"},
                                 {Split::train, "images", "labels"},
                                 {Split::train, "data", "labels"},
                                 {Split::train, "arr_0", "arr_1"}};

const ZipEntry* find_entry(const std::vector<ZipEntry>& entries, const std::string& name) {
  const auto at = std::find_if(entries.begin(), entries.end(),
                               [&](const ZipEntry& entry) { return entry.name == name + ".npy"; });
  return at == entries.end() ? nullptr : &*at;
}

}  // namespace

std::optional<Source> find_npy_pair(const std::string& spec, const OptionalPreprocess& preprocess) {
  const size_t comma = spec.find(".npy,");
  if (comma == std::string::npos || !spec.ends_with(".npy")) return std::nullopt;
  const std::string samples = spec.substr(0, comma + 4);
  const std::string labels = spec.substr(comma + 5);
  Source source{.name = source_name(samples), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    return open_arrays(name, make_array(Bytes::map(samples), samples),
                       make_array(Bytes::map(labels), labels), preprocess);
  };
  return source;
}

std::optional<Source> find_npz(const std::string& spec, const OptionalPreprocess& preprocess) {
  if (!spec.ends_with(".npz")) return std::nullopt;
  const Bytes archive = Bytes::map(spec);
  const std::vector<ZipEntry> entries =
      with_context([&] { return spec; }, [&] { return zip_entries(archive.view()); });
  Source source{.name = source_name(spec)};
  const auto add = [&](const EntryNames& names) {
    const ZipEntry* samples = find_entry(entries, names.samples);
    const ZipEntry* labels = find_entry(entries, names.labels);
    if (samples == nullptr || labels == nullptr || source.parts.contains(names.split)) return;
    const auto array = [archive, spec](const ZipEntry& entry) {
      return with_context(
          [&] { return spec; },
          [&] { return make_array(Bytes(extract(archive.view(), entry)), entry.name); });
    };
    source.parts[names.split] = [=, name = source.name, x = *samples, y = *labels] {
      return with_context([&] { return spec; },
                          [&] { return open_arrays(name, array(x), array(y), preprocess); });
    };
  };
  for (const EntryNames& names : kEntries) add(names);
  source.whole = source.parts.empty();
  if (source.whole) {
    for (const EntryNames& names : kWhole) add(names);
  }
  if (!source.parts.empty()) return source;
  std::string have;
  for (const ZipEntry& entry : entries) have += (have.empty() ? "" : ", ") + entry.name;
  fail(ErrorCode::invalid_data,
       "{}: no arrays with known names (x and y, or x_train, y_train, x_test, y_test); it has: {}",
       spec, have.empty() ? "none" : have);
}

}  // namespace nibble
