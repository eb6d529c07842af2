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

std::string array_name(const ZipEntry& entry) {
  return entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name;
}

// How many arrays are for inputs of the model, by their names or by what DataOptions::sources says.
int64_t arrays_for_inputs(const std::vector<ZipEntry>& entries, const DataOptions& options) {
  return std::ranges::count_if(entries, [&](const ZipEntry& entry) {
    const ArrayRole role = role_of(array_name(entry), options);
    return role.kind == ArrayRole::Kind::field && find_input(options, role.name) != nullptr;
  });
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
  const auto array = [archive, spec](const ZipEntry& entry) {
    return with_context(
        [&] { return spec; },
        [&] { return make_array(Bytes(extract(archive.view(), entry)), entry.name); });
  };
  Source source{.name = source_name(spec)};
  const auto add = [&](const EntryNames& names) {
    const ZipEntry* samples = find_entry(entries, names.samples);
    const ZipEntry* labels = find_entry(entries, names.labels);
    if (samples == nullptr || labels == nullptr || source.parts.contains(names.split)) return;
    source.parts[names.split] = [=, name = source.name, x = *samples, y = *labels] {
      return with_context([&] { return spec; },
                          [&] { return open_arrays(name, array(x), array(y), options); });
    };
  };
  for (const EntryNames& names : kEntries) add(names);
  source.whole = source.parts.empty();
  if (source.whole) {
    for (const EntryNames& names : kWhole) add(names);
  }
  // x and y are samples and labels, also of a model whose only input is called x.
  const int64_t named = arrays_for_inputs(entries, options);
  if (named > 1 || (named == 1 && source.parts.empty())) {
    source.parts.clear();
    source.whole = true;
    source.parts[Split::train] = [=, name = source.name] {
      std::vector<NamedArray> arrays;
      for (const ZipEntry& entry : entries) {
        arrays.push_back({role_of(array_name(entry), options), array(entry)});
      }
      return with_context([&] { return spec; },
                          [&] { return join_arrays(name, std::move(arrays), options); });
    };
    return source;
  }
  if (source.parts.empty() && entries.size() == 1) {
    source.parts[Split::train] = [=, name = source.name, x = entries[0]] {
      return with_context([&] { return spec; },
                          [&] { return open_arrays(name, array(x), std::nullopt, options); });
    };
  }
  if (!source.parts.empty()) return source;
  std::string have;
  for (const ZipEntry& entry : entries) have += (have.empty() ? "" : ", ") + entry.name;
  fail(ErrorCode::invalid_data,
       "{}: no arrays with known names (x and y; x_train, y_train, x_test, y_test{}); it has: {}",
       spec,
       options.inputs.empty() ? "" : "; or those of the model's inputs, " + to_text(options.inputs),
       have.empty() ? "none" : have);
}

}  // namespace nibble
