#include "report/page/page.h"

#include <fmt/format.h>

#include "nibble/version.h"
#include "report/page/html.h"
#include "report/page/sections.h"

namespace nibble {

extern const unsigned char report_style[];
extern const unsigned long report_style_size;
extern const unsigned char report_script[];
extern const unsigned long report_script_size;

namespace {

std::string_view embedded(const unsigned char* bytes, unsigned long size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// "float.onnx, w8.onnx and 3 more".
std::string subject_of(const page::Findings& findings) {
  constexpr size_t kNamed = 3;
  std::string text;
  const size_t count = findings.models.size();
  for (size_t i = 0; i < count && i < kNamed; ++i) {
    text += (i == 0 ? "" : ", ") + findings.models[i].label;
  }
  if (count > kNamed) text += fmt::format(" and {} more", count - kNamed);
  return text;
}

}  // namespace

std::string report_page(std::span<const RunStep> steps) {
  const page::Findings findings = page::gather(steps);
  std::string body, links;
  for (const page::SectionRow& row : page::kSections) {
    const std::string html = page::section(row.id, row.title, row.render(findings));
    if (html.empty()) continue;
    body += html;
    links += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", row.id, page::escape(row.title));
  }
  const std::string subject = page::escape(subject_of(findings));
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"generator\" content=\"nibble {0}\">\n"
      "<title>Nibble report: {1}</title>\n<style>\n{2}</style>\n</head>\n<body>\n"
      "<a class=\"skip\" href=\"#content\">Skip to the content</a>\n"
      "<header>\n<h1>Nibble report</h1>\n<p>{1}</p>\n</header>\n"
      "<nav aria-label=\"Sections\">\n<ul>\n{3}</ul>\n</nav>\n"
      "<main id=\"content\" tabindex=\"-1\">\n{4}</main>\n"
      "<footer><p>Made by nibble {0}.</p></footer>\n<script>\n{5}</script>\n</body>\n</html>\n",
      version(), subject, embedded(report_style, report_style_size), links, body,
      embedded(report_script, report_script_size));
}

}  // namespace nibble
