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

}  // namespace nibble::cli
