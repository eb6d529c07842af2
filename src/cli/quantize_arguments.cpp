#include "cli/quantize_arguments.h"

#include <fmt/format.h>

#include "base/file.h"

namespace nibble::cli {

void QuantizeArguments::declare(CLI::App& app) {
  static const QuantizeSettings defaults;
  const std::string group = "Quantization";
  flags.declare(app, quantize_option_rows(), group, &defaults);
  app.add_option("--config", config,
                 "JSON file with these settings, and bits by layer; flags win over it")
      ->type_name("FILE")
      ->group(group);
}

QuantizeSettings QuantizeArguments::resolve() const {
  QuantizeSettings settings;
  if (!config.empty()) {
    with_context([&] { return "reading " + config; },
                 [&] { apply_settings_json(read_file(config), settings); });
  }
  flags.apply(settings);
  check_budget_alone(settings, flags.has("weights"));
  return settings;
}

void add_ranges_option(CLI::App& app, std::string& file) {
  app.add_option("--ranges", file,
                 "What `nibble analyze -o` wrote of this model, instead of measuring ranges again: "
                 "one such file serves every target, and mostly no data are needed then")
      ->type_name("FILE");
}

std::optional<RangeReport> read_ranges(const std::string& file) {
  if (file.empty()) return std::nullopt;
  return with_context([&] { return "reading " + file; },
                      [&] { return range_report_from_json(read_file(file)); });
}

}  // namespace nibble::cli
