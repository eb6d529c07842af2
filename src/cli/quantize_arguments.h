// The options of quantization, shared by `quantize`, `qat` and the demo.
#pragma once

#include <optional>
#include <string>

#include "cli/command.h"
#include "cli/option_flags.h"
#include "nibble/ranges.h"
#include "quant/settings.h"
#include "verbs/quantize.h"

namespace nibble::cli {

/// The table of quant/settings.h as flags, and --config.
struct QuantizeArguments {
  OptionFlags<QuantizeSettings> flags;
  std::string config;
  void declare(CLI::App& app);
  /// What the config file says, then what the flags say.
  QuantizeSettings resolve() const;
};

/// --ranges FILE, and what is in the file: of none, nothing. Throws Error{invalid_data} naming it.
void add_ranges_option(CLI::App& app, std::string& file);
std::optional<RangeReport> read_ranges(const std::string& file);

}  // namespace nibble::cli
