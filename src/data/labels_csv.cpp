// A folder with labels.csv: a header line naming the columns file, label and, where there are any,
// name (of the class) and split (train, val or test). Labels are numbers from zero, or words, which
// are then numbered in their alphabetical order.
#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "data/csv.h"
#include "data/image_files.h"

namespace nibble {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::string file;
  std::string label;
  std::string name;
  std::string split;
};

struct Table {
  fs::path path;
  std::vector<Row> rows;
  bool has_split = false;
};

constexpr size_t kAbsent = static_cast<size_t>(-1);

// Where each column stands in the header; throws if file or label is missing.
struct Columns {
  size_t file = kAbsent, label = kAbsent, name = kAbsent, split = kAbsent;

  Columns(const std::vector<std::string>& header, const fs::path& path) {
    for (size_t i = 0; i < header.size(); ++i) {
      if (header[i] == "file" || header[i] == "filename" || header[i] == "path") file = i;
      if (header[i] == "label" || header[i] == "class") label = i;
      if (header[i] == "name") name = i;
      if (header[i] == "split") split = i;
    }
    if (file == kAbsent || label == kAbsent) {
      fail(ErrorCode::invalid_data, "{}: the first line must name the columns file and label",
           path.string());
    }
  }

  Row row(const std::vector<std::string>& fields) const {
    const auto field = [&](size_t column) {
      return column < fields.size() ? fields[column] : std::string();
    };
    return {field(file), field(label), field(name), field(split)};
  }
};

Table read_table(const fs::path& path) {
  const std::string text = read_file(path);
  const std::vector<std::string_view> lines = lines_of(text);
  const Columns columns(csv_fields(lines.empty() ? "" : lines.front()), path);
  Table table{.path = path, .has_split = columns.split != kAbsent};
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    Row row = columns.row(csv_fields(lines[i]));
    if (row.file.empty() || row.label.empty()) {
      fail(ErrorCode::invalid_data, "{} line {}: no file or no label", path.string(), i + 1);
    }
    if (!fs::is_regular_file(path.parent_path() / row.file)) {
      fail(ErrorCode::invalid_data, "{} line {}: the file '{}' does not exist", path.string(),
           i + 1, row.file);
    }
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty()) fail(ErrorCode::invalid_data, "{}: no samples in it", path.string());
  return table;
}

Labels labels_of(const Table& table) {
  std::vector<std::string> words;
  for (const Row& row : table.rows) words.push_back(row.label);
  Labels labels = labels_of_words(words, table.path.string());
  const bool named =
      labels.names.empty() && std::any_of(table.rows.begin(), table.rows.end(),
                                          [](const Row& row) { return !row.name.empty(); });
  if (named) labels.names.resize(static_cast<size_t>(labels.classes));
  for (size_t i = 0; named && i < table.rows.size(); ++i) {
    labels.names[static_cast<size_t>(labels.values[i])] = table.rows[i].name;
  }
  return labels;
}

std::optional<Split> split_named(std::string_view name) {
  if (name == "train") return Split::train;
  if (name == "val" || name == "valid" || name == "validation") return Split::validation;
  if (name == "test") return Split::test;
  return std::nullopt;
}

}  // namespace

std::optional<Source> find_labels_csv(const std::string& spec, const DataOptions& options) {
  const fs::path root(spec);
  if (!fs::is_regular_file(root / "labels.csv")) return std::nullopt;
  const auto table = std::make_shared<const Table>(read_table(root / "labels.csv"));
  const auto labels = std::make_shared<const Labels>(labels_of(*table));
  std::map<Split, std::vector<size_t>> rows;
  for (size_t i = 0; i < table->rows.size(); ++i) {
    const auto split = table->has_split ? split_named(table->rows[i].split) : Split::train;
    if (!split) {
      fail(ErrorCode::invalid_data, "{}: the split of '{}' is '{}', expected train, val or test",
           table->path.string(), table->rows[i].file, table->rows[i].split);
    }
    rows[*split].push_back(i);
  }
  Source source{.name = source_name(spec), .whole = !table->has_split};
  for (auto& [split, chosen] : rows) {
    source.parts[split] = [=, name = source.name, indices = chosen] {
      Labels part{.classes = labels->classes, .names = labels->names};
      std::vector<std::string> files;
      for (size_t i : indices) {
        part.values.push_back(labels->values[i]);
        files.push_back(table->rows[i].file);
      }
      return std::make_shared<ImageFiles>(name, std::move(part), root, std::move(files), options);
    };
  }
  return source;
}

}  // namespace nibble
