// Where the numbers come from: what was run, on what, where and when.
#include <fmt/format.h>

#include "base/text.h"
#include "report/format.h"
#include "report/page/html.h"
#include "report/page/json_access.h"
#include "report/page/sections.h"

namespace nibble::page {
namespace {

// As one would type it.
std::string command_text(const Json& provenance) {
  std::string line;
  for (const std::string& word : texts(provenance, "command")) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789-_=+,./:@%") == std::string::npos;
    std::string quoted = word;
    if (!plain) {
      quoted = "'";
      for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
      quoted += "'";
    }
    line += (line.empty() ? "" : " ") + quoted;
  }
  return line;
}

std::string machine_text(const Json& provenance) {
  std::string text;
  const int64_t cores = count(provenance, "cores");
  for (const std::string& part :
       {page::text(provenance, "cpu"), cores > 0 ? fmt::format("{} cores", cores) : std::string(),
        page::text(provenance, "isa"),
        page::text(provenance, "nibble").empty() ? std::string()
                                                 : "Nibble " + page::text(provenance, "nibble")}) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

// Commands in their order; a machine is told where it is another than before.
std::string steps_list(const Findings& findings) {
  std::string html, machine, command;
  for (const RunStep& step : findings.steps) {
    const Json& from = step.provenance;
    if (const std::string here = machine_text(from); here != machine) {
      if (!html.empty()) html += "</ol>\n";
      html += fmt::format("<p>On {}:</p>\n<ol class=\"steps\">\n",
                          here.empty() ? "a machine that is not known" : escape(here));
      machine = here;
      command.clear();
    } else if (html.empty()) {
      html += "<ol class=\"steps\">\n";
    }
    const std::string line = command_text(from);
    const auto seconds = number(from, "seconds");
    html +=
        fmt::format("<li>{}<span class=\"of\">{}{}{}, seed {}, threads {}</span></li>\n",
                    line.empty() || line == command ? fmt::format("<b>{}</b> ", escape(step.verb))
                                                    : fmt::format("<code>{}</code> ", escape(line)),
                    line.empty() || line != command ? escape(step.verb) + ", " : "",
                    escape(text(from, "started")), seconds ? ", " + format_duration(*seconds) : "",
                    count(from, "seed"), count(from, "threads"));
    command = line;
  }
  return html.empty() ? "" : html + "</ol>\n";
}

Cell digest_cell(const std::string& digest) {
  if (digest.empty()) return {};
  return {.html = "<code class=\"digest\">" + escape(digest) + "</code>"};
}

std::string data_table(const Findings& findings) {
  HtmlTable table("Data", {{"data"}, {"part"}, {"what"}, {"samples", true}, {"digest"}});
  std::vector<Json> seen;
  for (const RunStep& step : findings.steps) {
    for (const Json& entry : items(step.provenance, "data")) {
      if (std::find(seen.begin(), seen.end(), entry) != seen.end()) continue;
      seen.push_back(entry);
      table.add_row({{text(entry, "data")},
                     {text(entry, "split")},
                     {text(entry, "description")},
                     {group_digits(count(entry, "samples"))},
                     digest_cell(text(entry, "digest"))});
    }
  }
  return table.empty() ? "" : table.html();
}

std::string models_table(const Findings& findings) {
  HtmlTable table("Models", {{"model"}, {"path"}, {"bytes", true}, {"SHA-256"}});
  for (const ModelFacts& facts : findings.models) {
    table.add_row({{facts.label},
                   {facts.name},
                   {facts.bytes ? group_digits(static_cast<int64_t>(*facts.bytes)) : ""},
                   digest_cell(facts.sha256)});
  }
  return table.empty() ? "" : table.html();
}

}  // namespace

std::string provenance_section(const Findings& findings) {
  const std::string html = steps_list(findings) + models_table(findings) + data_table(findings);
  if (html.empty()) return {};
  return html +
         "<p class=\"aside\">The digest of data is of the samples as the model gets them (their "
         "number, all labels, and up to 64 samples evenly spaced), that of a model is of its "
         "file.</p>\n";
}

}  // namespace nibble::page
