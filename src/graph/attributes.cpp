#include <algorithm>

#include "base/check.h"
#include "nibble/graph.h"

namespace nibble {
namespace {

template <typename T>
const T& expect(const Attribute& attribute, std::string_view name, std::string_view kind) {
  if (const T* value = std::get_if<T>(&attribute)) return *value;
  fail(ErrorCode::invalid_model, "attribute '{}' is not {}", name, kind);
}

}  // namespace

const Attribute* Attributes::find(std::string_view name) const {
  const auto it = std::ranges::find(items_, name,
                                    [](const auto& item) { return std::string_view(item.first); });
  return it == items_.end() ? nullptr : &it->second;
}

void Attributes::set(std::string_view name, Attribute value) {
  for (auto& [key, old] : items_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  items_.emplace_back(std::string(name), std::move(value));
}

void Attributes::erase(std::string_view name) {
  std::erase_if(items_, [&](const auto& item) { return item.first == name; });
}

int64_t Attributes::integer(std::string_view name, int64_t fallback) const {
  const Attribute* attribute = find(name);
  return attribute == nullptr ? fallback : expect<int64_t>(*attribute, name, "an integer");
}

float Attributes::real(std::string_view name, float fallback) const {
  const Attribute* attribute = find(name);
  return attribute == nullptr ? fallback : expect<float>(*attribute, name, "a float");
}

std::string Attributes::text(std::string_view name, std::string_view fallback) const {
  const Attribute* attribute = find(name);
  return attribute == nullptr ? std::string(fallback)
                              : expect<std::string>(*attribute, name, "a string");
}

std::vector<int64_t> Attributes::integers(std::string_view name,
                                          std::vector<int64_t> fallback) const {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  return expect<std::vector<int64_t>>(*attribute, name, "a list of integers");
}

std::vector<float> Attributes::reals(std::string_view name, std::vector<float> fallback) const {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  return expect<std::vector<float>>(*attribute, name, "a list of floats");
}

int64_t Attributes::required_integer(std::string_view name) const {
  const Attribute* attribute = find(name);
  if (attribute == nullptr) fail(ErrorCode::invalid_model, "attribute '{}' is missing", name);
  return expect<int64_t>(*attribute, name, "an integer");
}

}  // namespace nibble
