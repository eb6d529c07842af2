// Making the rows of a table of options (base/options.h) from the members of a struct.
#pragma once

#include <type_traits>
#include <utility>

#include "base/options.h"

namespace nibble {

namespace detail {
template <typename Settings>
const Settings& defaults() {
  static const Settings settings{};
  return settings;
}

template <typename T>
struct Unwrapped {
  using Type = T;
};
template <typename T>
struct Unwrapped<std::optional<T>> {
  using Type = T;
};

template <typename T>
constexpr OptionKind kind_of() {
  if constexpr (std::is_same_v<T, bool>) return OptionKind::toggle;
  if constexpr (std::is_integral_v<T>) return OptionKind::integer;
  if constexpr (std::is_floating_point_v<T>) return OptionKind::number;
  if constexpr (std::is_same_v<T, std::string>) return OptionKind::text;
  return OptionKind::list;
}

template <typename T>
OptionValue to_value(const T& member) {
  if constexpr (kind_of<T>() == OptionKind::integer)
    return static_cast<int64_t>(member);
  else if constexpr (kind_of<T>() == OptionKind::number)
    return static_cast<double>(member);
  else
    return member;
}

template <typename T>
T from_value(const OptionValue& value) {
  if constexpr (kind_of<T>() == OptionKind::integer)
    return static_cast<T>(std::get<int64_t>(value));
  else if constexpr (kind_of<T>() == OptionKind::number)
    return static_cast<T>(std::get<double>(value));
  else
    return std::get<T>(value);
}

// The member as a value; none if it is an optional that holds nothing.
template <typename Member, typename Convert>
std::optional<OptionValue> value_of(const Member& member, const Convert& convert) {
  if constexpr (requires { member.has_value(); }) {
    return member ? std::optional<OptionValue>(convert(*member)) : std::nullopt;
  } else {
    return convert(member);
  }
}
}  // namespace detail

/// A row for a member (a text that is one of spec.choices, where there are any): `access(settings)`
/// gives a reference to it, of a const Settings too. The kind follows from its type; a
/// std::optional has no default.
template <typename Settings, typename Access>
OptionRow<Settings> option(OptionSpec spec, Access access) {
  using Member = std::remove_cvref_t<decltype(access(std::declval<Settings&>()))>;
  using T = typename detail::Unwrapped<Member>::Type;
  const bool chosen = detail::kind_of<T>() == OptionKind::text && !spec.choices.empty();
  spec.kind = chosen ? OptionKind::choice : detail::kind_of<T>();
  return {std::move(spec),
          [access](Settings& settings, const std::optional<OptionValue>& value) {
            if (!value) {
              access(settings) = access(detail::defaults<Settings>());
            } else if constexpr (detail::kind_of<T>() == OptionKind::list) {
              const T more = detail::from_value<T>(*value);
              access(settings).insert(access(settings).end(), more.begin(), more.end());
            } else {
              access(settings) = detail::from_value<T>(*value);
            }
          },
          [access](const Settings& settings) {
            return detail::value_of(access(settings), detail::to_value<T>);
          }};
}

/// A row for a member that has one of these values, called by these names.
template <typename Settings, typename T, typename Access>
OptionRow<Settings> choice_option(OptionSpec spec, std::vector<std::pair<std::string, T>> choices,
                                  Access access) {
  spec.kind = OptionKind::choice;
  for (const auto& [name, value] : choices) spec.choices.push_back({name, ""});
  const auto name_of = [choices](const T& wanted) -> OptionValue {
    for (const auto& [name, value] : choices) {
      if (value == wanted) return name;
    }
    return std::string("?");
  };
  return {std::move(spec),
          [access, choices](Settings& settings, const std::optional<OptionValue>& wanted) {
            if (!wanted) access(settings) = access(detail::defaults<Settings>());
            for (const auto& [name, value] : choices) {
              if (wanted && name == std::get<std::string>(*wanted)) access(settings) = value;
            }
          },
          [access, name_of](const Settings& settings) {
            return detail::value_of(access(settings), name_of);
          }};
}

/// The row of a part as a row of the whole: `part(settings)` gives a reference to it.
template <typename Settings, typename Part, typename Access>
OptionRow<Settings> option_of_part(const OptionRow<Part>& row, Access part) {
  return {row.spec,
          [row, part](Settings& settings, const std::optional<OptionValue>& value) {
            row.set(part(settings), value);
          },
          [row, part](const Settings& settings) { return row.get(part(settings)); }};
}

}  // namespace nibble
