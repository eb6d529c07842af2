// The formats a data set can be read from: one row each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/array.h"
#include "nibble/data.h"

namespace nibble {

/// The parts a source has by itself. Opened when they are asked for; every name in a message names
/// the file. A source that is not divided has the part `train` alone and `whole` set.
struct Source {
  std::string name;
  std::map<Split, std::function<std::shared_ptr<const Dataset>()>> parts;
  bool whole = false;
};

/// The part `options.split` of a source, with the arrays that options.sources names. Throws as
/// open_dataset() does.
std::unique_ptr<Dataset> open_part(Source source, const DataOptions& options);

/// Arrays by name, read when they are asked for.
struct ArrayCollection {
  std::string name;                 // of the data set
  std::string place = {};           // begins messages about an array; empty: the name does not help
  std::vector<std::string> arrays;  // their names; "": the samples of the only input
  std::function<Array(size_t index)> load;
};
/// By the names of the arrays: inputs of the model, labels and targets; x and y, x_train, y_train,
/// x_test, y_test and the like; or the only one. Throws Error{invalid_data} if they fit nothing.
Source source_of_arrays(ArrayCollection collection, const DataOptions& options);

struct FormatRow {
  std::string_view name;
  /// The source, if `spec` names one of this format. Throws if it does and is malformed.
  std::optional<Source> (*find)(const std::string& spec, const DataOptions& options);
};

std::optional<Source> find_digits(const std::string& spec, const DataOptions& options);
std::optional<Source> find_npy_pair(const std::string& spec, const DataOptions& options);
std::optional<Source> find_npy(const std::string& spec, const DataOptions& options);
std::optional<Source> find_npz(const std::string& spec, const DataOptions& options);
std::optional<Source> find_csv_table(const std::string& spec, const DataOptions& options);
std::optional<Source> find_json_lines(const std::string& spec, const DataOptions& options);
std::optional<Source> find_sound(const std::string& spec, const DataOptions& options);
std::optional<Source> find_labels_csv(const std::string& spec, const DataOptions& options);
std::optional<Source> find_idx(const std::string& spec, const DataOptions& options);
std::optional<Source> find_cifar10(const std::string& spec, const DataOptions& options);
std::optional<Source> find_test_vectors(const std::string& spec, const DataOptions& options);
std::optional<Source> find_npy_folder(const std::string& spec, const DataOptions& options);
std::optional<Source> find_npz_folder(const std::string& spec, const DataOptions& options);
std::optional<Source> find_pictures(const std::string& spec, const DataOptions& options);
std::optional<Source> find_class_folders(const std::string& spec, const DataOptions& options);

/// The last part of a path, which data sets are called by: "data/cifar/" -> "cifar".
std::string source_name(const std::string& spec);

std::span<const FormatRow> format_table();

}  // namespace nibble
