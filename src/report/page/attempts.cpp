// What was tried until something kept to a goal: each setting, what it gave, and why it went on.
#include <fmt/format.h>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"

namespace nibble::page {

std::string goal_section(const Findings& findings) {
  std::string html;
  for (const Making& made : findings.makings) {
    if (made.attempts.empty()) continue;
    HtmlTable table(fmt::format("From {} to {}: decided on {} samples, by intervals of {:.1f} %",
                                findings.label(made.from), findings.label(made.to),
                                made.decision_samples, 100 * made.confidence),
                    {{"setting"},
                     {"file", true},
                     {"bits of a weight", true},
                     {"took", true},
                     {"what it gave"},
                     {"outcome"},
                     {"then"}});
    for (size_t i = 0; i < made.attempts.size(); ++i) {
      const Making::Attempt& one = made.attempts[i];
      const bool chosen = made.chosen_attempt == i;
      table.add_row({{one.setting},
                     {format_bytes(one.bytes)},
                     {fmt::format("{:.2f}", one.weight_bits)},
                     {format_duration(one.seconds)},
                     {one.gave},
                     {one.outcome, one.outcome == "kept" ? "better" : ""},
                     {chosen ? one.next + "; chosen" : one.next}});
    }
    html += table.html();
    if (made.reported.empty()) continue;
    html += fmt::format("<p>The chosen one, on samples that decided nothing: {} (95 %).</p>\n",
                        escape(made.reported));
  }
  return html;
}

}  // namespace nibble::page
