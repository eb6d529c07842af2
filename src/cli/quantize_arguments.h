// The options of quantization, shared by `quantize`, `qat` and the demo.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/option_flags.h"
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

}  // namespace nibble::cli
