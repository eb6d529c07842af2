#include "cli/option_flags.h"

#include <sstream>

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

// What is not allowed is wrong usage.
bool is_taken(const std::function<void()>& take) {
  try {
    take();
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what(), CLI::ExitCodes::ValidationError);
  }
  return true;
}

}  // namespace

CLI::Option* add_flag(CLI::App& app, const OptionSpec& spec, const std::string& help,
                      const std::string& group, std::function<void(OptionValue)> take) {
  const std::string flag(spec.flag);
  if (spec.kind == OptionKind::toggle) {
    const auto set = [take, value = spec.flag_value](int64_t) { take(value); };
    return app.add_flag_function(flag, set, help)->group(group);
  }
  const auto parse = [take, &spec](const CLI::results_t& words) {
    return is_taken([&] { take(parse_option(spec, words)); });
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

CLI::Option* add_list_flag(CLI::App& app, const OptionSpec& spec, const std::string& group,
                           std::function<void(std::span<const OptionValue>)> take) {
  const auto parse = [take = std::move(take), &spec](const CLI::results_t& words) {
    return is_taken([&] {
      std::vector<OptionValue> values;
      std::istringstream list(words.front());
      for (std::string word; std::getline(list, word, ',');) {
        values.push_back(parse_option(spec, {word}));
      }
      take(values);
    });
  };
  return app.add_option(std::string(spec.flag), parse, help_of(spec, std::nullopt))
      ->group(group)
      ->type_name(fmt::format("{},...", placeholder(spec.kind)))
      ->expected(1);
}

}  // namespace nibble::cli
