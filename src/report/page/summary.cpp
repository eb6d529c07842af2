// What was asked, and what came out, in sentences.
#include <fmt/format.h>

#include "report/page/html.h"
#include "report/page/sections.h"
#include "report/page/sentences.h"

namespace nibble::page {

std::string summary_section(const Findings& findings) {
  std::string html;
  for (const std::string& sentence : sentences(findings)) {
    html += fmt::format("<p class=\"finding\">{}</p>\n", escape(sentence));
  }
  std::string left;
  for (const Making& made : findings.makings) {
    for (const std::string& note : made.notes) {
      left += fmt::format("<li>{}: {}.</li>\n", escape(findings.label(made.to)), escape(note));
    }
    if (made.skipped.empty()) continue;
    HtmlTable table("Left in float in " + findings.label(made.to),
                    {{"node"}, {"operator"}, {"parameters", true}, {"why"}});
    for (const Making::Skipped& skipped : made.skipped) {
      table.add_row(
          {{skipped.node}, {skipped.op}, {std::to_string(skipped.parameters)}, {skipped.reason}});
    }
    html +=
        folded(fmt::format("{} {} stayed in float in {}", made.skipped.size(),
                           made.skipped.size() == 1 ? "layer" : "layers", findings.label(made.to)),
               table.html());
  }
  if (!left.empty()) html += "<ul class=\"notes\">\n" + left + "</ul>\n";
  return html;
}

}  // namespace nibble::page
