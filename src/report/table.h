// A plain text table: a header, a rule, rows; columns aligned, cut to fit the terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

enum class Align : uint8_t { left, right };

/// Terminal cells that UTF-8 text takes: combining marks none, East Asian wide characters two.
/// Invalid bytes count as one each.
int display_width(std::string_view text);
/// `text`, or its beginning and "…", in at most `width` cells.
std::string fit_to_width(std::string_view text, int width);

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell per column; missing ones are empty.
  void add_row(std::vector<std::string> cells);
  size_t rows() const { return rows_.size(); }
  /// Lines ending in newlines, none wider than `width` cells where that can be had (0: no limit) by
  /// shortening the widest left-aligned columns; numbers are never cut.
  std::string to_string(int width = 0) const;

 private:
  std::vector<int> widths(int limit) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace nibble
#pragma GCC visibility pop
