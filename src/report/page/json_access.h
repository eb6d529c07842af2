// Reading JSON that may be anything: what is missing or of another kind is absent.
#pragma once

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nibble/evaluate.h"

namespace nibble::page {

using Json = nlohmann::ordered_json;

/// The member, or null.
inline const Json& member(const Json& json, const char* key) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(key);
  return found == json.end() ? kNull : *found;
}
/// The elements of an array; none of anything else.
inline const Json& items(const Json& json, const char* key) {
  static const Json kEmpty = Json::array();
  const Json& list = member(json, key);
  return list.is_array() ? list : kEmpty;
}
inline std::string text(const Json& json, const char* key) {
  const Json& value = member(json, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}
inline std::optional<double> number_of(const Json& value) {
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}
inline std::optional<double> number(const Json& json, const char* key) {
  return number_of(member(json, key));
}
/// A whole number from 0 on; 0 if there is none.
inline int64_t count(const Json& json, const char* key) {
  const double value = number(json, key).value_or(0);
  return value > 0 && value < 9e15 ? static_cast<int64_t>(value) : 0;
}
inline std::optional<uint64_t> bytes(const Json& json, const char* key) {
  const auto value = number(json, key);
  if (!value || *value < 0 || *value > 9e15) return std::nullopt;
  return static_cast<uint64_t>(*value);
}
inline std::optional<Interval> interval(const Json& json, const char* key) {
  const Json& ends = items(json, key);
  if (ends.size() != 2) return std::nullopt;
  const auto low = number_of(ends[0]), high = number_of(ends[1]);
  if (!low || !high) return std::nullopt;
  return Interval{*low, *high};
}
inline std::vector<std::string> texts(const Json& json, const char* key) {
  std::vector<std::string> list;
  for (const Json& item : items(json, key)) {
    if (item.is_string()) list.push_back(item.get<std::string>());
  }
  return list;
}

}  // namespace nibble::page
