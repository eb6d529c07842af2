#include "cli/costs_output.h"

#include <fmt/format.h>

#include "cli/metric_output.h"
#include "cli/output.h"
#include "report/causes/causes.h"
#include "report/format.h"

namespace nibble::cli {

void print_costs(std::span<const LayerFigures> layers, size_t most) {
  for (const LayerFigures* layer : costliest(layers, most)) {
    tell("\n{}.\n", cost_text(*layer));
    if (const auto cause = cause_of(*layer)) {
      tell("  {}: {}.\n  Try: {}\n", cause->name, cause->sentence, cause->remedy);
    }
  }
}

void print_explanation(const std::vector<std::string>& names, const Explanation& explanation,
                       const RunSettings& run) {
  if (explanation.tried.empty()) {
    tell("\nNothing was tried: no cause names a setting of `nibble quantize`.\n");
    return;
  }
  const auto sized = [](const std::string& name, int64_t bytes) {
    return fmt::format("{} ({})", name, format_bytes(static_cast<uint64_t>(bytes)));
  };
  std::vector<std::string> rows = {names[0], sized(names[1], explanation.bytes)};
  for (const TriedRemedy& one : explanation.tried) {
    rows.push_back(sized(one.settings.empty() ? one.remedy : one.settings, one.bytes));
  }
  tell("\nTried, as nibble.json on top of the model's own settings:\n");
  print_reports(rows, explanation.outputs, {.seed = run.seed});
}

}  // namespace nibble::cli
