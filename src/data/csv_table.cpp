// A table of numbers, FILE.csv: a header line, then a sample per line. Columns are inputs of the
// model by their names, or else together, in their order, one vector; `label` is the label.
#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "base/file.h"
#include "data/array_set.h"
#include "data/csv.h"
#include "data/source.h"

namespace nibble {
namespace {

float number_in(const std::string& text, const std::string& path, size_t line,
                const std::string& column) {
  const size_t first = text.find_first_not_of(" \t+");
  const size_t last = text.find_last_not_of(" \t");
  const char* begin = text.data() + (first == std::string::npos ? 0 : first);
  const char* end = text.data() + (last == std::string::npos ? 0 : last + 1);
  float value = 0;
  const auto [at, error] = std::from_chars(begin, std::max(begin, end), value);
  if (error != std::errc() || at != end) {
    fail(ErrorCode::invalid_data, "{} line {}: '{}' in the column '{}' is no number", path, line,
         text, column);
  }
  return value;
}

// Where the columns go: targets, and those that are called like inputs, to arrays of their own,
// others together into one.
struct Columns {
  std::vector<std::string> names;
  std::vector<ArrayRole> roles;
  std::optional<size_t> label;
  std::vector<bool> alone;
  int64_t together = 0;

  Columns(const std::vector<std::string>& header, const DataOptions& options,
          const std::string& path)
      : names(header) {
    for (const std::string& name : names) roles.push_back(role_of(name, options));
    const bool by_name = std::ranges::any_of(roles, [&](const ArrayRole& role) {
      return role.kind == ArrayRole::Kind::field && find_input(options, role.name) != nullptr;
    });
    for (size_t i = 0; i < names.size(); ++i) {
      if (roles[i].kind == ArrayRole::Kind::label) label = i;
      alone.push_back(roles[i].kind == ArrayRole::Kind::target || by_name);
      if (i != label && !alone[i]) ++together;
      if (std::ranges::count(names, names[i]) > 1) {
        fail(ErrorCode::invalid_data, "{}: two columns are named '{}'", path, names[i]);
      }
    }
    if (names.size() == (label ? 1U : 0U)) {
      fail(ErrorCode::invalid_data, "{}: its first line names no columns", path);
    }
  }
};

Array make_column(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  const auto* begin = reinterpret_cast<const uint8_t*>(values.data());
  Bytes bytes(std::vector(begin, begin + values.size() * sizeof(float)));
  auto* data = const_cast<uint8_t*>(bytes.view().data());
  return {bytes, Tensor::borrow(DType::f32, shape, data), name};
}

// Rows of one number each, with as many dimensions as the input or the output has.
Shape rows_of_numbers(int64_t rows, const ArrayRole& role, const DataOptions& options) {
  const bool is_field = role.kind == ArrayRole::Kind::field;
  const std::vector<Field>& fields = is_field ? options.inputs : options.outputs;
  auto at = std::ranges::find(fields, role.name, &Field::name);
  if (at == fields.end() && role.name.empty()) at = fields.begin();
  Shape shape{rows};
  if (at == fields.end() || !at->shape.has_rank()) return shape;
  for (int axis = 1; axis < at->shape.rank(); ++axis) shape.push_back(1);
  return shape;
}

std::shared_ptr<const Dataset> open_table(const std::string& path, const std::string& name,
                                          const DataOptions& options) {
  const std::string text = read_file(path);
  const std::vector<std::string_view> lines = lines_of(text);
  const Columns columns(csv_fields(lines.empty() ? "" : lines.front()), options, path);
  std::vector<std::vector<float>> values(columns.names.size());
  std::vector<float> vectors;
  std::vector<std::string> labels;
  int64_t rows = 0;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::vector<std::string> fields = csv_fields(lines[i]);
    if (fields.size() != columns.names.size()) {
      fail(ErrorCode::invalid_data, "{} line {}: {} fields under {} columns", path, i + 1,
           fields.size(), columns.names.size());
    }
    ++rows;
    for (size_t k = 0; k < fields.size(); ++k) {
      if (k == columns.label) {
        labels.push_back(fields[k]);
      } else {
        (columns.alone[k] ? values[k] : vectors)
            .push_back(number_in(fields[k], path, i + 1, columns.names[k]));
      }
    }
  }
  std::vector<NamedArray> arrays;
  for (size_t k = 0; k < columns.names.size(); ++k) {
    if (k == columns.label || !columns.alone[k]) continue;
    const Shape shape = rows_of_numbers(rows, columns.roles[k], options);
    arrays.push_back({columns.roles[k], make_column(columns.names[k], shape, values[k])});
  }
  if (columns.together > 0) {
    arrays.push_back({{}, make_column(path, Shape{rows, columns.together}, vectors)});
  }
  Labels numbered = labels.empty() ? Labels::none(rows) : labels_of_words(labels, path);
  return join_arrays(name, std::move(arrays), options, std::move(numbered));
}

}  // namespace

std::optional<Source> find_csv_table(const std::string& spec, const DataOptions& options) {
  if (!spec.ends_with(".csv")) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] { return open_table(spec, name, options); };
  return source;
}

}  // namespace nibble
