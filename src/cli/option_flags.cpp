#include "cli/option_flags.h"

namespace nibble::cli {
namespace {

// What stands for the value in help.
std::string_view placeholder(OptionKind kind) {
  switch (kind) {
    case OptionKind::integer:
      return "N";
    case OptionKind::number:
      return "X";
    case OptionKind::list:
      return "NAME,...";
    case OptionKind::choice:
      return "NAME";
    case OptionKind::toggle:
    case OptionKind::text:
      break;
  }
  return "TEXT";
}

}  // namespace

CLI::Option* add_flag(CLI::App& app, const OptionSpec& spec, const std::string& help,
                      const std::string& group, std::function<void(OptionValue)> take) {
  const std::string flag(spec.flag);
  if (spec.kind == OptionKind::toggle) {
    const auto set = [take, value = spec.flag_value](int64_t) { take(value); };
    return app.add_flag_function(flag, set, help)->group(group);
  }
  const auto parse = [take, &spec, flag](const CLI::results_t& words) {
    try {
      take(parse_option(spec, words));
    } catch (const Error& error) {
      throw CLI::ValidationError(error.what(), CLI::ExitCodes::ValidationError);
    }
    return true;
  };
  CLI::Option* added = app.add_option(flag, parse, help);
  added->group(group)->type_name(std::string(placeholder(spec.kind)));
  if (spec.kind == OptionKind::list) {
    added->delimiter(',')->expected(1, CLI::detail::expected_max_vector_size);
  } else {
    added->expected(1);
  }
  return added;
}

}  // namespace nibble::cli
