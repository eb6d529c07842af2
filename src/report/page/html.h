// Text that becomes HTML and SVG. Names come from strangers' files: whatever goes into a page goes
// through escape().
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nibble::page {

/// Safe as text and inside of quoted attributes. Bytes that are not UTF-8, and characters that XML
/// does not have, become U+FFFD.
std::string escape(std::string_view text);

/// A cell of a table. `text` is escaped; `html` stands as it is, where it is not empty.
struct Cell {
  std::string text = {};
  std::string style = {};  // classes
  std::string html = {};
};
/// A table with a caption, which readers and people need to tell it from others; the first cell of
/// each row is its header. It scrolls sideways on its own where it is too wide, and can then be
/// reached by keyboard.
class HtmlTable {
 public:
  struct Column {
    std::string title;
    bool number = false;
  };
  HtmlTable(std::string caption, std::vector<Column> columns);
  void add_row(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  /// "heat", say: a class of the table.
  void set_style(std::string style) { style_ = std::move(style); }
  std::string html() const;

 private:
  std::string caption_;
  std::string style_;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// <details>: `html` is shown when the summary is opened, and always in print.
std::string folded(std::string_view summary, const std::string& html);
/// <section> with a heading; nothing if there is no content.
std::string section(std::string_view id, std::string_view title, const std::string& html);

}  // namespace nibble::page
