#include "data/csv.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.h"

namespace nibble {
namespace {

std::optional<int64_t> as_integer(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> csv_fields(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      const bool doubled = quoted && i + 1 < line.size() && line[i + 1] == '"';
      if (doubled) fields.back() += line[++i];
      if (!doubled) quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  return fields;
}

Labels labels_of_words(const std::vector<std::string>& words, const std::string& file) {
  if (std::ranges::all_of(words, [](const auto& word) { return as_integer(word).has_value(); })) {
    std::vector<int64_t> values;
    for (const std::string& word : words) values.push_back(*as_integer(word));
    return number_labels(values, file);
  }
  Labels labels{.names = words};
  std::ranges::sort(labels.names);
  labels.names.erase(std::unique(labels.names.begin(), labels.names.end()), labels.names.end());
  labels.classes = static_cast<int>(labels.names.size());
  for (const std::string& word : words) {
    const auto at = std::ranges::lower_bound(labels.names, word);
    labels.values.push_back(static_cast<int32_t>(at - labels.names.begin()));
  }
  return labels;
}

}  // namespace nibble
