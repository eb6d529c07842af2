// Tables of named rows: a row is found by its name, and what is not there is refused with the names
// that are.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "nibble/choice.h"

namespace nibble {

/// "a", "a or b", "a, b or c".
template <typename Row>
std::string list_names(std::span<const Row> rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) text += i + 1 < rows.size() ? ", " : " or ";
    text += rows[i].name;
  }
  return text;
}

/// The row of this name. Throws Error{invalid_argument}: "observer 'x' is unknown; choose a or b",
/// where `kind` is "observer".
template <typename Row>
const Row& find_row(std::span<const Row> rows, std::string_view kind, std::string_view name) {
  const auto row = std::ranges::find(rows, name, &Row::name);
  if (row == rows.end()) {
    fail(ErrorCode::invalid_argument, "{} '{}' is unknown; choose {}", kind, name,
         list_names(rows));
  }
  return *row;
}

/// Name and summary of each row.
template <typename Row>
std::vector<Choice> choices_of(std::span<const Row> rows) {
  std::vector<Choice> choices;
  for (const Row& row : rows) choices.push_back({row.name, row.summary});
  return choices;
}

}  // namespace nibble
