// Options as data. Each is declared once, in a row of a table: command-line flags, JSON keys, help
// and error messages (and the arguments of other languages) are generated from it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "nibble/choice.h"

#pragma GCC visibility push(default)
namespace nibble {

enum class OptionKind : uint8_t { toggle, integer, number, choice, text, list };
/// What an option was given, or has: by kind bool, int64_t, double, the name chosen, a text, texts.
using OptionValue = std::variant<bool, int64_t, double, std::string, std::vector<std::string>>;

/// What may be chosen, by name.
struct OptionChoice {
  std::string name;
  std::string summary;  // for help; may be empty
};

/// What may follow a number: in "2ms", "ms" stands for 1e-3 of the unit that the option is in.
struct OptionUnit {
  std::string_view name;
  double factor = 1;
};
/// Seconds (s, ms, us), bytes (B, kB or KB, MB, GB of 1000, KiB, MiB of 1024), and plain counts (K,
/// M, G, T).
std::span<const OptionUnit> time_units();
std::span<const OptionUnit> byte_units();
std::span<const OptionUnit> count_units();

/// The rows of a table as choices.
std::vector<OptionChoice> option_choices(const std::vector<Choice>& rows);

/// What an option is called and what it takes.
struct OptionSpec {
  std::string_view flag;  // "--weights"; empty: not on the command line
  std::string_view key;   // "weights": in JSON, and how other rows and programs name it
  std::string_view help;  // without choices, range and default: they are added
  OptionKind kind = OptionKind::toggle;    // set by the functions that make rows
  bool flag_value = true;                  // toggle: what the flag sets
  std::optional<double> least, most;       // integer, number
  std::optional<double> above;             // the value itself is not allowed
  std::span<const OptionUnit> units = {};  // integer, number: may be given with one of these
  bool needs_unit = false;            // a number alone would not say what it means (JSON's does)
  std::vector<OptionChoice> choices;  // choice: set by choice_option()
  std::string_view
      one_of;  // options of one such name cannot stand beside each other; empty: any can
};

std::vector<std::string> choice_names(const OptionSpec& spec);
/// From a flag's argument, or from JSON. Throws Error{invalid_argument} naming the option, the
/// value and what is allowed.
OptionValue parse_option(const OptionSpec& spec, const std::vector<std::string>& words);
OptionValue option_from_json(const OptionSpec& spec, const nlohmann::ordered_json& json);
/// What option_from_json() makes `value` of.
nlohmann::ordered_json option_to_json(const OptionValue& value);
/// "Bits of the weights: 8, 6, 4, 3 or 2; default 8".
std::string help_of(const OptionSpec& spec, const std::optional<OptionValue>& default_value);

/// An option of `Settings`.
template <typename Settings>
struct OptionRow {
  OptionSpec spec;
  /// A list adds to what is there. nullopt puts back what Settings{} has.
  std::function<void(Settings&, const std::optional<OptionValue>&)> set;
  std::function<std::optional<OptionValue>(const Settings&)> get;
};

/// Options given in one place, in order.
template <typename Settings>
using GivenOptions = std::vector<std::pair<const OptionRow<Settings>*, OptionValue>>;

namespace detail {
inline bool exclude(const OptionSpec& a, const OptionSpec& b) {
  return !a.one_of.empty() && a.one_of == b.one_of && a.key != b.key;
}
[[noreturn]] void fail_excluded(const OptionSpec& a, const OptionSpec& b);
[[noreturn]] void fail_unknown_key(std::string_view key, const std::vector<std::string>& known);
std::vector<std::pair<std::string, const nlohmann::ordered_json*>> members_of(
    const nlohmann::ordered_json& object);

}  // namespace detail

/// Sets what was given in one place. What was set before and cannot stand beside it goes back to
/// its default. Throws Error{invalid_argument} if two that were given exclude each other.
template <typename Settings>
void apply_options(const GivenOptions<Settings>& given, std::span<const OptionRow<Settings>> rows,
                   Settings& settings) {
  for (const auto& [row, value] : given) {
    for (const auto& [other, other_value] : given) {
      if (detail::exclude(row->spec, other->spec)) detail::fail_excluded(row->spec, other->spec);
    }
    for (const auto& other : rows) {
      if (detail::exclude(row->spec, other.spec)) other.set(settings, std::nullopt);
    }
    row->set(settings, value);
  }
}

/// The members of a JSON object as options; `others` are keys that are read elsewhere. Throws
/// Error{invalid_argument} for a key that no row has, with the nearest that one has.
template <typename Settings>
GivenOptions<Settings> options_from_json(const nlohmann::ordered_json& object,
                                         std::span<const OptionRow<Settings>> rows,
                                         std::span<const std::string_view> others = {}) {
  std::vector<std::string> known(others.begin(), others.end());
  for (const auto& row : rows) known.emplace_back(row.spec.key);
  GivenOptions<Settings> given;
  for (const auto& [key, value] : detail::members_of(object)) {
    if (std::find(others.begin(), others.end(), key) != others.end()) continue;
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.spec.key == key; });
    if (row == rows.end()) detail::fail_unknown_key(key, known);
    given.emplace_back(&*row, option_from_json(row->spec, *value));
  }
  return given;
}

/// The options that are not as in `usual`, as members of a JSON object: options_from_json() reads
/// them. The caller includes <nlohmann/json.hpp>.
template <typename Settings, typename Json = nlohmann::ordered_json>
Json options_to_json(std::span<const OptionRow<Settings>> rows, const Settings& settings,
                     const Settings& usual) {
  Json object = Json::object();
  for (const OptionRow<Settings>& row : rows) {
    const auto value = row.get(settings);
    if (row.spec.key.empty() || !value || value == row.get(usual)) continue;
    object[std::string(row.spec.key)] = option_to_json(*value);
  }
  return object;
}

}  // namespace nibble
#pragma GCC visibility pop
