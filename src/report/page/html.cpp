#include "report/page/html.h"

#include <fmt/format.h>

#include <cstdint>

namespace nibble::page {
namespace {

// Bytes of the valid UTF-8 sequence at the beginning of `text`, or 0.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf5   ? 0
                        : first >= 0xf0 ? 4
                        : first >= 0xe0 ? 3
                        : first >= 0xc2 ? 2
                                        : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is above U+10FFFF.
  const uint8_t second = byte(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
    return 0;
  }
  const bool no_character = first == 0xef && second == 0xbf && byte(2) >= 0xbe;  // U+FFFE, U+FFFF
  return no_character ? 0 : length;
}

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

}  // namespace

std::string escape(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    const size_t length = sequence_length(text);
    const char c = text.front();
    const bool control = static_cast<uint8_t>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
    if (length == 0 || control || c == 0x7f) {
      safe += kReplacement;
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '"') {
      safe += "&quot;";
    } else if (c == '\'') {
      safe += "&#39;";
    } else {
      safe += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return safe;
}

HtmlTable::HtmlTable(std::string caption, std::vector<Column> columns)
    : caption_(std::move(caption)), columns_(std::move(columns)) {}

std::string HtmlTable::html() const {
  std::string html = fmt::format(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\">\n"
      "<table{1}>\n<caption>{0}</caption>\n<thead><tr>",
      escape(caption_), style_.empty() ? "" : fmt::format(" class=\"{}\"", style_));
  for (const Column& column : columns_) {
    html += fmt::format("<th scope=\"col\"{}>{}</th>", column.number ? " class=\"num\"" : "",
                        escape(column.title));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const std::vector<Cell>& row : rows_) {
    html += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      std::string style = row[i].style;
      if (i < columns_.size() && columns_[i].number) style += style.empty() ? "num" : " num";
      const std::string content = row[i].html.empty() ? escape(row[i].text) : row[i].html;
      const std::string_view tag = i == 0 ? "th" : "td";
      html += fmt::format("<{0}{1}{2}>{3}</{0}>", tag, i == 0 ? " scope=\"row\"" : "",
                          style.empty() ? "" : fmt::format(" class=\"{}\"", style), content);
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n</div>\n";
}

std::string folded(std::string_view summary, const std::string& html) {
  if (html.empty()) return {};
  return fmt::format("<details>\n<summary>{}</summary>\n{}</details>\n", escape(summary), html);
}

std::string section(std::string_view id, std::string_view title, const std::string& html) {
  if (html.empty()) return {};
  return fmt::format(
      "<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n{2}</section>\n\n", id,
      escape(title), html);
}

}  // namespace nibble::page
