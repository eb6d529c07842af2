#include "base/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

// How people write it: as a flag where there is one.
std::string_view name_of(const OptionSpec& spec, bool in_json) {
  return in_json || spec.flag.empty() ? spec.key : spec.flag;
}

const OptionChoice* find_choice(const OptionSpec& spec, const std::string& name) {
  const auto found = std::ranges::find(spec.choices, name, &OptionChoice::name);
  return found == spec.choices.end() ? nullptr : &*found;
}

// "8, 6 or 4", "from 2 to 8", "above 0", "1 or more"; empty: anything of its kind.
std::string allowed(const OptionSpec& spec) {
  if (spec.kind == OptionKind::choice) return join_choices(choice_names(spec));
  if (spec.above) return fmt::format("above {}", *spec.above);
  if (spec.least && spec.most) return fmt::format("from {} to {}", *spec.least, *spec.most);
  if (spec.least) return fmt::format("{} or more", *spec.least);
  return spec.most ? fmt::format("at most {}", *spec.most) : "";
}

std::string unit_names(const OptionSpec& spec) {
  std::vector<std::string> names;
  for (const OptionUnit& unit : spec.units) names.emplace_back(unit.name);
  return join_choices(names);
}

// allowed(), with what is known of each choice: "nearest (...), learned (...)".
std::string explained(const OptionSpec& spec) {
  std::string text;
  for (const OptionChoice& choice : spec.choices) {
    if (choice.summary.empty()) return allowed(spec);
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", choice.name, choice.summary);
  }
  return text.empty() ? allowed(spec) : text;
}

std::string_view noun(OptionKind kind) {
  switch (kind) {
    case OptionKind::toggle:
      return "true or false";
    case OptionKind::integer:
      return "a whole number";
    case OptionKind::number:
      return "a number";
    case OptionKind::choice:
      return "a name";
    case OptionKind::text:
      return "a text";
    case OptionKind::list:
      break;
  }
  return "a list of names";
}

[[noreturn]] void refuse(const OptionSpec& spec, bool in_json, std::string_view value) {
  const std::string what = allowed(spec);
  const bool choice = spec.kind == OptionKind::choice;
  fail(ErrorCode::invalid_argument, "{} cannot be {}: {}{}{}{}", name_of(spec, in_json), value,
       choice ? "choose " : "expected ", choice ? std::string_view() : noun(spec.kind),
       choice || what.empty() ? what : " " + what,
       spec.needs_unit && !in_json ? " and its unit: " + unit_names(spec) : "");
}

bool in_range(const OptionSpec& spec, double value) {
  return std::isfinite(value) && (!spec.above || value > *spec.above) &&
         (!spec.least || value >= *spec.least) && (!spec.most || value <= *spec.most);
}

// The whole text as a number; none if it is not one.
template <typename T>
std::optional<T> number_in(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

// "1.5MB" in the unit of the option; none if it is no such text.
std::optional<double> quantity_in(const OptionSpec& spec, const std::string& text) {
  const size_t digits = text.find_last_of("0123456789.") + 1;  // npos + 1 is 0
  const auto number = number_in<double>(text.substr(0, digits));
  const std::string_view rest = std::string_view(text).substr(digits);
  const auto unit = std::ranges::find(spec.units, rest, &OptionUnit::name);
  if (!number || unit == spec.units.end()) return std::nullopt;
  return *number * unit->factor;
}

// A number as people write it: with its unit, where it may have one.
std::optional<OptionValue> number_of(const OptionSpec& spec, const std::string& word) {
  const bool whole = spec.kind == OptionKind::integer;
  if (const auto number = whole ? number_in<int64_t>(word) : std::optional<int64_t>()) {
    if (spec.needs_unit || !in_range(spec, static_cast<double>(*number))) return std::nullopt;
    return *number;
  }
  std::optional<double> number = quantity_in(spec, word);
  if (!number && !whole && !spec.needs_unit) number = number_in<double>(word);
  if (!number || !in_range(spec, *number)) return std::nullopt;
  if (!whole) return *number;
  constexpr double kExact = 9007199254740992;  // 2^53
  const double rounded = std::round(*number);
  if (std::abs(rounded - *number) > 1e-6 || rounded > kExact) return std::nullopt;
  return static_cast<int64_t>(rounded);
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& words) {
  std::vector<std::string> parts;
  for (const std::string& word : words) {
    for (size_t begin = 0; begin <= word.size();) {
      const size_t comma = std::min(word.find(',', begin), word.size());
      if (comma > begin) parts.push_back(word.substr(begin, comma - begin));
      begin = comma + 1;
    }
  }
  return parts;
}

std::optional<OptionValue> value_in(const OptionSpec& spec, const Json& json) {
  switch (spec.kind) {
    case OptionKind::toggle:
      if (json.is_boolean()) return json.get<bool>();
      return std::nullopt;
    case OptionKind::integer:
      if (json.is_string() && !spec.units.empty()) return number_of(spec, json.get<std::string>());
      if (json.is_number_integer() && in_range(spec, json.get<double>()))
        return json.get<int64_t>();
      return std::nullopt;
    case OptionKind::number:
      if (json.is_string() && !spec.units.empty()) return number_of(spec, json.get<std::string>());
      if (json.is_number() && in_range(spec, json.get<double>())) return json.get<double>();
      return std::nullopt;
    case OptionKind::choice: {
      const std::string name = json.is_string() ? json.get<std::string>() : json.dump();
      if (find_choice(spec, name) != nullptr) return name;
      return std::nullopt;
    }
    case OptionKind::text:
      if (json.is_string()) return json.get<std::string>();
      return std::nullopt;
    case OptionKind::list:
      break;
  }
  std::vector<std::string> texts;
  if (!json.is_array()) return std::nullopt;
  for (const Json& entry : json) {
    if (!entry.is_string()) return std::nullopt;
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

std::string text_of(const OptionValue& value) {
  struct Text {
    std::string operator()(bool on) const { return on ? "on" : "off"; }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return fmt::format("{:g}", number); }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const std::vector<std::string>& texts) const {
      return fmt::format("{}", fmt::join(texts, ","));
    }
  };
  return std::visit(Text{}, value);
}

}  // namespace

std::span<const OptionUnit> time_units() {
  static constexpr OptionUnit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
  return kUnits;
}

std::span<const OptionUnit> byte_units() {
  static constexpr OptionUnit kUnits[] = {{"B", 1},    {"kB", 1e3},   {"KB", 1e3},     {"MB", 1e6},
                                          {"GB", 1e9}, {"KiB", 1024}, {"MiB", 1048576}};
  return kUnits;
}

std::span<const OptionUnit> count_units() {
  static constexpr OptionUnit kUnits[] = {{"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}};
  return kUnits;
}

std::vector<OptionChoice> option_choices(const std::vector<Choice>& rows) {
  std::vector<OptionChoice> choices;
  for (const Choice& row : rows) {
    choices.push_back({std::string(row.name), std::string(row.summary)});
  }
  return choices;
}

std::vector<std::string> choice_names(const OptionSpec& spec) {
  std::vector<std::string> names;
  for (const OptionChoice& choice : spec.choices) names.push_back(choice.name);
  return names;
}

OptionValue parse_option(const OptionSpec& spec, const std::vector<std::string>& words) {
  if (spec.kind == OptionKind::toggle) return spec.flag_value;
  if (spec.kind == OptionKind::list) return split_at_commas(words);
  const std::string& word = words.back();
  if (spec.kind == OptionKind::text) return word;
  if (spec.kind == OptionKind::integer || spec.kind == OptionKind::number) {
    if (const auto number = number_of(spec, word)) return *number;
  } else if (find_choice(spec, word) != nullptr) {
    return word;
  }
  refuse(spec, false, word);
}

Json option_to_json(const OptionValue& value) {
  return std::visit([](const auto& what) { return Json(what); }, value);
}

OptionValue option_from_json(const OptionSpec& spec, const Json& json) {
  if (auto value = value_in(spec, json)) return *value;
  refuse(spec, true, json.dump());
}

std::string help_of(const OptionSpec& spec, const std::optional<OptionValue>& default_value) {
  std::string help(spec.help);
  const std::string range = explained(spec);
  if (!range.empty()) help += (spec.kind == OptionKind::choice ? ": " : ", ") + range;
  if (!spec.units.empty()) {
    help += fmt::format("{} {}", spec.needs_unit ? ", with its unit:" : "; may be in",
                        unit_names(spec));
  }
  if (!default_value || spec.kind == OptionKind::toggle) return help;
  const std::string text = text_of(*default_value);
  return text.empty() ? help : help + "; default " + text;
}

namespace detail {

void fail_excluded(const OptionSpec& a, const OptionSpec& b) {
  fail(ErrorCode::invalid_argument, "{} and {} cannot be given together: choose one",
       name_of(a, false), name_of(b, false));
}

void fail_unknown_key(std::string_view key, const std::vector<std::string>& known) {
  const std::string hint = did_you_mean(key, known);
  fail(ErrorCode::invalid_argument, "the key '{}' is unknown{}", key,
       hint.empty() ? fmt::format("; known are: {}", fmt::join(known, ", ")) : hint);
}

std::vector<std::pair<std::string, const Json*>> members_of(const Json& object) {
  std::vector<std::pair<std::string, const Json*>> members;
  if (!object.is_object()) fail(ErrorCode::invalid_argument, "expected a JSON object");
  for (const auto& [key, value] : object.items()) members.emplace_back(key, &value);
  return members;
}

}  // namespace detail
}  // namespace nibble
