#include "base/text.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace nibble {
namespace {

constexpr size_t kShortestPart = 4;  // of a name that counts as held by another

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

bool holds(std::string_view whole, std::string_view part) {
  return part.size() >= kShortestPart && lower(whole).find(lower(part)) != std::string::npos;
}

}  // namespace

std::string group_digits(int64_t value) {
  std::string digits = std::to_string(value);
  const size_t start = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > start + 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

// Optimal string alignment (Damerau-Levenshtein without edits of what was swapped).
size_t edit_distance(std::string_view first, std::string_view second) {
  const std::string a = lower(first), b = lower(second);
  std::vector<size_t> before, above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = std::exchange(above, row);
  }
  return above[b.size()];
}

std::vector<std::string> nearest_names(std::string_view wanted, std::span<const std::string> names,
                                       size_t most) {
  const size_t limit = std::max<size_t>(2, wanted.size() / 3);
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& name : names) {
    const size_t distance = edit_distance(wanted, name);
    // One that shares no letter is not near, however short both are.
    const bool similar = distance <= limit && distance < std::max(wanted.size(), name.size());
    if (similar || holds(wanted, name) || holds(name, wanted)) near.emplace_back(distance, name);
  }
  std::ranges::sort(near);
  if (near.size() > most) near.resize(most);
  std::vector<std::string> result;
  for (auto& [distance, name] : near) result.push_back(std::move(name));
  return result;
}

std::string did_you_mean(std::string_view wanted, std::span<const std::string> names) {
  std::vector<std::string> near = nearest_names(wanted, names);
  if (near.empty()) return "";
  for (std::string& name : near) name = "'" + name + "'";
  return "; did you mean " + join_choices(near) + "?";
}

std::string join_choices(std::span<const std::string> names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace nibble
