#include "report/table.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>

#include "base/check.h"

namespace nibble {
namespace {

constexpr int kGap = 2;        // spaces between columns
constexpr int kNarrowest = 8;  // a column is not shortened below this

// One code point at the start of `text` and its length in bytes; an invalid byte stands for itself.
struct CodePoint {
  uint32_t value = 0;
  size_t length = 1;
};

CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length == 1 || length > text.size() || lead >= 0xF8) return {lead, 1};
  uint32_t value = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {lead, 1};
    value = value << 6U | (next & 0x3FU);
  }
  return {value, length};
}

struct CodePoints {
  uint32_t first;
  uint32_t last;
};

bool in_any(uint32_t code, std::span<const CodePoints> ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [code](const CodePoints& range) {
    return code >= range.first && code <= range.last;
  });
}

int cells_of(uint32_t code) {
  static constexpr CodePoints kZero[] = {
      {0x300, 0x36F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};
  static constexpr CodePoints kWide[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},  {0x3041, 0xA4CF},
                                         {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},  {0xFE30, 0xFE6F},
                                         {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},  {0x1F300, 0x1F64F},
                                         {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
  if (in_any(code, kZero)) return 0;
  return in_any(code, kWide) ? 2 : 1;
}

std::string padded(std::string_view text, int width, Align align) {
  const std::string spaces(static_cast<size_t>(std::max(0, width - display_width(text))), ' ');
  return align == Align::right ? spaces + std::string(text) : std::string(text) + spaces;
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    width += cells_of(point.value);
    text.remove_prefix(point.length);
  }
  return width;
}

std::string fit_to_width(std::string_view text, int width) {
  if (display_width(text) <= width) return std::string(text);
  if (width <= 0) return "";
  std::string result;
  int used = 1;  // the ellipsis
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    used += cells_of(point.value);
    if (used > width) break;
    result += text.substr(0, point.length);
    text.remove_prefix(point.length);
  }
  return result + "…";
}

void Table::add_row(std::vector<std::string> cells) {
  check(cells.size() <= columns_.size(), "a row has at most as many cells as there are columns");
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::widths(int limit) const {
  std::vector<int> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    int widest = display_width(columns_[c].title);
    for (const auto& row : rows_) widest = std::max(widest, display_width(row[c]));
    widths.push_back(widest);
  }
  const int gaps = kGap * static_cast<int>(columns_.size() - 1);
  int excess = limit == 0 ? 0 : std::accumulate(widths.begin(), widths.end(), gaps) - limit;
  for (; excess > 0; --excess) {
    std::optional<size_t> widest;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].align == Align::right || widths[c] <= kNarrowest) continue;
      if (!widest || widths[c] > widths[*widest]) widest = c;
    }
    if (!widest) break;
    --widths[*widest];
  }
  return widths;
}

std::string Table::to_string(int width) const {
  if (columns_.empty()) return "";
  const std::vector<int> widths = this->widths(width);
  std::string text;
  const auto add_line = [&](auto&& cell) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) line.append(kGap, ' ');
      line += padded(fit_to_width(cell(c), widths[c]), widths[c], columns_[c].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line([&](size_t c) { return columns_[c].title; });
  add_line([&](size_t c) {
    std::string rule;
    for (int i = 0; i < widths[c]; ++i) rule += "─";
    return rule;
  });
  for (const auto& row : rows_) add_line([&](size_t c) { return row[c]; });
  return text;
}

}  // namespace nibble
