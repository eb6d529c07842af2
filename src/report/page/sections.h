// The sections of the page, in their order. Each is a function from the findings to HTML, in a file
// of its own; one with nothing to say gives an empty text.
#pragma once

#include <string>

#include "report/page/findings.h"

namespace nibble::page {

std::string summary_section(const Findings& findings);
std::string accuracy_section(const Findings& findings);
std::string goal_section(const Findings& findings);
std::string front_section(const Findings& findings);
std::string costs_section(const Findings& findings);
std::string profile_section(const Findings& findings);
std::string layers_section(const Findings& findings);
std::string histograms_section(const Findings& findings);
std::string training_section(const Findings& findings);
std::string provenance_section(const Findings& findings);

struct SectionRow {
  std::string_view id;
  std::string_view title;
  std::string (*render)(const Findings& findings);
};
/// A section is a row here and its function above.
constexpr SectionRow kSections[] = {
    {"summary", "What was asked, and what came out", summary_section},
    {"accuracy", "Accuracy, size and latency", accuracy_section},
    {"goal", "What was tried to keep to the goal", goal_section},
    {"front", "What other budgets would give", front_section},
    {"costs", "Which layers cost most, why, and what to try", costs_section},
    {"profile", "Where the time goes", profile_section},
    {"layers", "Bits and error, layer by layer", layers_section},
    {"ranges", "Ranges, and where observers clip them", histograms_section},
    {"training", "Training", training_section},
    {"provenance", "Where these numbers come from", provenance_section},
};

}  // namespace nibble::page
