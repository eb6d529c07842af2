// Data sets of arrays: X.npy, X.npy,Y.npy, and .npz files: with the names that Keras, MedMNIST and
// plain np.savez(x=..., y=...) give them, or those of the model's inputs.
#include <algorithm>

#include "base/check.h"
#include "data/array_set.h"
#include "data/source.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

// Rows of an array, taken as they are.
class RowsOfArray : public Labelled<Dataset> {
 public:
  RowsOfArray(std::string name, Labels labels, Array samples)
      : Labelled(std::move(name), std::move(labels)), samples_(std::move(samples)) {}
  std::vector<Field> fields() const override {
    return {{.dtype = samples_.tensor.dtype(),
             .shape = Shape(samples_.tensor.shape().dims().subspan(1))}};
  }
  std::vector<Tensor> sample(int64_t index) const override { return {row_of(samples_, index)}; }

 private:
  Array samples_;
};

// Without labels if there are none.
std::shared_ptr<const Dataset> open_arrays(const std::string& name, Array samples,
                                           const std::optional<Array>& labels,
                                           const DataOptions& options) {
  const Shape& shape = samples.tensor.shape();
  if (shape.rank() < 1 || (labels && shape.rank() < 2)) {
    fail(ErrorCode::invalid_data, "{}: samples must be of shape [N,...], these are {}",
         samples.name, shape.to_string());
  }
  Labels numbered = labels ? labels_of(*labels, shape[0]) : Labels::none(shape[0]);
  if (auto block = as_images(samples)) {
    const Preprocess chosen = chosen_preprocess(default_preprocess(block->channels), options);
    return std::make_shared<PixelDataset>(name, std::move(numbered), *std::move(block), chosen);
  }
  return std::make_shared<RowsOfArray>(name, std::move(numbered), std::move(samples));
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
constexpr EntryNames kWhole[] = {
    {Split::train, "x", "y"},           {Split::train, "X", "y"},
    {Split::train, "images", "labels"}, {Split::train, "data", "labels"},
    {Split::train, "arr_0", "arr_1"},   {Split::train, "", "label"}};

constexpr size_t kNone = std::string::npos;

size_t find_array(const ArrayCollection& collection, std::string_view name) {
  const auto at = std::ranges::find(collection.arrays, name);
  return at == collection.arrays.end() ? kNone
                                       : static_cast<size_t>(at - collection.arrays.begin());
}

std::string array_name(const ZipEntry& entry) {
  return entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name;
}

// How many arrays are for inputs of the model, by their names or by what DataOptions::sources says.
int64_t arrays_for_inputs(const ArrayCollection& collection, const DataOptions& options) {
  return std::ranges::count_if(collection.arrays, [&](const std::string& array) {
    const ArrayRole role = role_of(array, options);
    return role.kind == ArrayRole::Kind::field && find_input(options, role.name) != nullptr;
  });
}

std::shared_ptr<const Dataset> join_all(const ArrayCollection& collection,
                                        const DataOptions& options) {
  std::vector<NamedArray> arrays;
  for (size_t i = 0; i < collection.arrays.size(); ++i) {
    const std::string& array = collection.arrays[i];
    arrays.push_back({array.empty() ? ArrayRole{} : role_of(array, options), collection.load(i)});
  }
  return join_arrays(collection.name, std::move(arrays), options);
}

[[noreturn]] void fail_names(const ArrayCollection& collection, const DataOptions& options) {
  fail(ErrorCode::invalid_data,
       "{}: no arrays with known names (x and y; x_train, y_train, x_test, y_test{}); it has: {}",
       collection.place.empty() ? collection.name : collection.place,
       options.inputs.empty() ? "" : "; or those of the model's inputs, " + to_text(options.inputs),
       collection.arrays.empty() ? "none" : fmt::format("{}", fmt::join(collection.arrays, ", ")));
}

}  // namespace

std::optional<Source> find_npy_pair(const std::string& spec, const DataOptions& options) {
  const size_t comma = spec.find(".npy,");
  if (comma == std::string::npos || !spec.ends_with(".npy")) return std::nullopt;
  const std::string samples = spec.substr(0, comma + 4);
  const std::string labels = spec.substr(comma + 5);
  Source source{.name = source_name(samples), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    return open_arrays(name, load_array(samples), load_array(labels), options);
  };
  return source;
}

std::optional<Source> find_npy(const std::string& spec, const DataOptions& options) {
  if (!is_array_file(spec)) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] {
    return open_arrays(name, load_array(spec), std::nullopt, options);
  };
  return source;
}

std::optional<Source> find_npz(const std::string& spec, const DataOptions& options) {
  if (!spec.ends_with(".npz")) return std::nullopt;
  const Bytes archive = Bytes::map(spec);
  const std::vector<ZipEntry> entries =
      with_context([&] { return spec; }, [&] { return zip_entries(archive.view()); });
  ArrayCollection collection{.name = source_name(spec), .place = spec};
  for (const ZipEntry& entry : entries) collection.arrays.push_back(array_name(entry));
  collection.load = [archive, entries](size_t index) {
    const ZipEntry& entry = entries[index];
    return make_array(Bytes(extract(archive.view(), entry)), entry.name);
  };
  return source_of_arrays(std::move(collection), options);
}

Source source_of_arrays(ArrayCollection collection, const DataOptions& options) {
  Source source{.name = collection.name};
  // Arrays are read when the part is opened, and messages say where they are from.
  const auto add = [&](Split split, auto open) {
    source.parts[split] = [collection, options, open]() -> std::shared_ptr<const Dataset> {
      const auto opened = [&] { return open(collection, options); };
      if (collection.place.empty()) return opened();
      return with_context([&] { return collection.place; }, opened);
    };
  };
  const auto add_pair = [&](const EntryNames& names) {
    const size_t x = find_array(collection, names.samples);
    const size_t y = find_array(collection, names.labels);
    if (x == kNone || y == kNone || source.parts.contains(names.split)) return;
    add(names.split, [x, y](const ArrayCollection& all, const DataOptions& wanted) {
      return open_arrays(all.name, all.load(x), all.load(y), wanted);
    });
  };
  for (const EntryNames& names : kEntries) add_pair(names);
  source.whole = source.parts.empty();
  if (source.whole) {
    for (const EntryNames& names : kWhole) add_pair(names);
  }
  // x and y are samples and labels, also of a model whose only input is called x.
  const int64_t named = arrays_for_inputs(collection, options);
  const bool beside =
      find_array(collection, "") != kNone && collection.arrays.size() > 1 && source.parts.empty();
  if (named > 1 || beside || (named == 1 && source.parts.empty())) {
    source.parts.clear();
    source.whole = true;
    add(Split::train, join_all);
  } else if (source.parts.empty() && collection.arrays.size() == 1) {
    add(Split::train, [](const ArrayCollection& all, const DataOptions& wanted) {
      return open_arrays(all.name, all.load(0), std::nullopt, wanted);
    });
  }
  if (source.parts.empty()) fail_names(collection, options);
  return source;
}

}  // namespace nibble
