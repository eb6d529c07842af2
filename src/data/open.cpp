// open_dataset: finds the format, then the split.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/check.h"
#include "data/array.h"
#include "data/array_set.h"
#include "data/samples.h"
#include "data/source.h"

namespace nibble {
namespace {

// In the order they are asked in: a folder is the first that fits.
constexpr FormatRow kFormats[] = {
    {"digits", find_digits},
    {"X.npy,Y.npy", find_npy_pair},
    {"X.npy", find_npy},
    {"FILE.npz", find_npz},
    {"a table FILE.csv", find_csv_table},
    {"JSON lines FILE.jsonl", find_json_lines},
    {"a folder with labels.csv", find_labels_csv},
    {"IDX files", find_idx},
    {"CIFAR-10 binary files", find_cifar10},
    {"ONNX test vectors (test_data_set_*/input_*.pb)", find_test_vectors},
    {"a folder of .npy files, one per input", find_npy_folder},
    {"a folder of .npz files, one per sample", find_npz_folder},
    {"WAV files", find_sound},
    {"a folder of JPEG or PNG images", find_pictures},
    {"class folders of JPEG or PNG images", find_class_folders},
};

Source find_source(const std::string& spec, const DataOptions& options) {
  for (const FormatRow& row : kFormats) {
    if (auto source = row.find(spec, options)) return *std::move(source);
  }
  if (!std::filesystem::exists(spec)) {
    fail(ErrorCode::io, "data set '{}': no such file or folder", spec);
  }
  std::string names;
  for (const FormatRow& row : kFormats) {
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(ErrorCode::invalid_data, "data set '{}': no data in a form that is known ({})", spec, names);
}

// Without a spec, a source whose one part is nothing.
Source find_base(const std::string& spec, const DataOptions& options) {
  if (!spec.empty()) return find_source(spec, options);
  if (options.sources.empty()) {
    fail(ErrorCode::invalid_argument, "the name of the data set is empty");
  }
  Source source{.name = "the inputs", .whole = true};
  source.parts[Split::train] = [] { return nullptr; };
  return source;
}

// "16000", "-0.5": what is no number is none.
std::optional<double> number_of(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Of DataOptions::sources, what is no name of an array in the data: a file's content; or a number,
// for every sample the same, in the type and shape of the input.
std::optional<Array> given_array(const std::string& key, const std::string& text,
                                 const DataOptions& options) {
  if (is_array_file(text)) return load_array(text);
  const std::optional<double> number = number_of(text);
  if (!number) return std::nullopt;
  const auto input = std::ranges::find(options.inputs, key, &Field::name);
  if (input == options.inputs.end()) return std::nullopt;
  const Shape shape = input->shape.has_rank() && input->shape.is_static() ? input->shape : Shape{};
  Tensor filled(DType::f64, shape);
  std::ranges::fill(filled.data<double>(), *number);
  return Array{.tensor = convert(filled, input->dtype), .name = text};
}

// Throws if the data have no array of a name that DataOptions::sources says.
void check_names(const Dataset& data, const DataOptions& options) {
  const std::vector<Field> fields = data.fields();
  for (const auto& [key, array] : options.sources) {
    if (is_array_file(array) || role_of_key(key, options).kind != ArrayRole::Kind::field) continue;
    if (std::ranges::find(fields, key, &Field::name) != fields.end()) continue;
    fail(ErrorCode::invalid_argument,
         "--input {}={}: {} has no array '{}' (and a file's name ends with .npy or .pb); it has {}",
         key, array, data.describe(), array, to_text(fields));
  }
}

// The source, every part with the arrays that DataOptions::sources names.
Source with_sources(Source source, const DataOptions& options) {
  if (options.sources.empty()) return source;
  for (auto& [split, open] : source.parts) {
    open = [base = open, name = source.name, options] {
      std::shared_ptr<const Dataset> data = base();
      std::vector<NamedArray> arrays;
      for (const auto& [key, file] : options.sources) {
        std::optional<Array> array = given_array(key, file, options);
        if (array) arrays.push_back({role_of_key(key, options), std::move(*array)});
      }
      if (!arrays.empty()) data = join_arrays(name, std::move(arrays), options, std::move(data));
      if (data == nullptr) {  // no spec, no files: then there is a source that is neither
        const auto& [key, array] = *options.sources.begin();
        fail(ErrorCode::invalid_argument,
             "--input {}={}: the name of a file ends with .npy or .pb, and without --data there is "
             "no array of this name",
             key, array);
      }
      check_names(*data, options);
      return data;
    };
  }
  return source;
}

std::shared_ptr<const Dataset> require_samples(std::shared_ptr<const Dataset> dataset) {
  if (dataset->size() == 0) {
    fail(ErrorCode::invalid_data, "the data set is empty: {}", dataset->describe());
  }
  return dataset;
}

// Such that the first samples are a fair validation part: stratified by class. Without labels they
// may follow on each other, and are the last ones.
std::vector<int64_t> validation_first(const Dataset& data, uint64_t seed) {
  const auto samples = static_cast<size_t>(data.size());
  if (data.classes() > 0) {
    std::vector<int32_t> labels(samples);
    for (size_t i = 0; i < samples; ++i) {
      labels[i] = static_cast<int32_t>(data.label(static_cast<int64_t>(i)));
    }
    return stratified_order(labels, seed);
  }
  std::vector<int64_t> order(samples);
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

// The training part without (or only) its validation share.
std::unique_ptr<Dataset> divide(const Source& source, const DataOptions& options) {
  if (!(options.validation_share >= 0 && options.validation_share < 1)) {
    fail(ErrorCode::invalid_argument, "the validation share must be in [0, 1), got {}",
         options.validation_share);
  }
  const auto all = require_samples(source.parts.at(Split::train)());
  std::vector<int64_t> order = validation_first(*all, options.seed);
  const auto count = std::llround(options.validation_share * static_cast<double>(order.size()));
  const bool validation = options.split == Split::validation;
  if (validation ? count == 0 : count == all->size()) {
    fail(ErrorCode::invalid_data, "data set '{}': a validation share of {} leaves no samples to {}",
         source.name, options.validation_share, validation ? "validate" : "train");
  }
  std::vector<int64_t> indices = validation ? std::vector(order.begin(), order.begin() + count)
                                            : std::vector(order.begin() + count, order.end());
  std::sort(indices.begin(), indices.end());
  return named_subset(all, std::move(indices),
                      source.name + (validation ? "/validation" : "/train"));
}

// The part as it is, as a unique_ptr.
std::unique_ptr<Dataset> whole(const std::shared_ptr<const Dataset>& dataset, std::string name) {
  std::vector<int64_t> indices(static_cast<size_t>(dataset->size()));
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
  return named_subset(dataset, std::move(indices), std::move(name));
}

}  // namespace

std::span<const FormatRow> format_table() { return kFormats; }

void describe_model(const Graph& graph, DataOptions& options) {
  const auto fields_of = [&](const std::vector<ValueId>& ids) {
    std::vector<Field> fields;
    for (const ValueId id : ids) {
      const Value& value = graph.value(id);
      fields.push_back({.name = value.name, .dtype = value.type.dtype, .shape = value.type.shape});
    }
    return fields;
  };
  options.inputs = fields_of(graph.inputs);
  options.outputs = fields_of(graph.outputs);
}

std::string source_name(const std::string& spec) {
  const std::filesystem::path path(spec);
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::unique_ptr<Dataset> open_part(Source given, const DataOptions& options) {
  check_sources(options);
  const Source source = with_sources(std::move(given), options);
  const bool own_validation = source.parts.contains(Split::validation);
  const bool from_train =
      options.split == Split::validation ? !own_validation : options.split == Split::train;
  if (from_train && !source.parts.contains(Split::train)) {
    fail(ErrorCode::invalid_data, "data set '{}' has no training part", source.name);
  }
  if (from_train && !own_validation) return divide(source, options);
  auto part = source.parts.find(options.split);
  if (part == source.parts.end() && source.whole) part = source.parts.find(Split::train);
  if (part == source.parts.end()) {
    fail(ErrorCode::invalid_data, "data set '{}' has no test part", source.name);
  }
  const char* suffix = options.split == Split::train        ? "/train"
                       : options.split == Split::validation ? "/validation"
                                                            : "/test";
  return whole(require_samples(part->second()), source.name + suffix);
}

std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options) {
  try {
    return open_part(find_base(spec, options), options);
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorCode::io, "{}: cannot read: {}",
         error.path1().empty() ? spec : error.path1().string(), error.code().message());
  }
}

}  // namespace nibble
