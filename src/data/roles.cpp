#include "data/roles.h"

#include <algorithm>

#include "base/check.h"
#include "base/file_names.h"

namespace nibble {
namespace {

constexpr std::string_view kTarget = "target:";

std::optional<ArrayRole> role_by_word(const std::string& name) {
  using Kind = ArrayRole::Kind;
  if (name == "label" || name == "labels") return ArrayRole{Kind::label, ""};
  if (name == "target") return ArrayRole{Kind::target, ""};
  if (name.starts_with(kTarget)) return ArrayRole{Kind::target, name.substr(kTarget.size())};
  return std::nullopt;
}

}  // namespace

const Field* find_input(const DataOptions& options, std::string_view name) {
  const auto at = std::ranges::find(options.inputs, name, &Field::name);
  return at == options.inputs.end() ? nullptr : &*at;
}

ArrayRole role_of_key(const std::string& key, const DataOptions& options) {
  const bool is_input = find_input(options, key) != nullptr;
  const auto word = is_input ? std::nullopt : role_by_word(key);
  return word.value_or(ArrayRole{ArrayRole::Kind::field, key});
}

ArrayRole role_of(const std::string& array, const DataOptions& options) {
  for (const auto& [key, source] : options.sources) {
    if (source == array) return role_of_key(key, options);
  }
  if (find_input(options, array) == nullptr) {
    std::vector<std::string> names;
    for (const Field& input : options.inputs) names.push_back(input.name);
    const std::vector<std::string> files = file_names(names);
    const auto at = std::ranges::find(files, array);
    if (at != files.end()) {
      return {ArrayRole::Kind::field, names[static_cast<size_t>(at - files.begin())]};
    }
  }
  return role_of_key(array, options);
}

void check_sources(const DataOptions& options) {
  if (options.inputs.empty()) return;
  for (const auto& [key, source] : options.sources) {
    if (role_of_key(key, options).kind != ArrayRole::Kind::field) continue;
    if (find_input(options, key) != nullptr) continue;
    fail(ErrorCode::invalid_argument, "--input {}={}: the model has no input '{}'; it takes {}",
         key, source, key, to_text(options.inputs));
  }
}

std::string to_text(std::span<const Field> fields) {
  std::string text;
  for (const Field& field : fields) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : ", ",
                        field.name.empty() ? "" : "'" + field.name + "' ", name_of(field.dtype),
                        field.shape.has_rank() ? field.shape.to_string() : "[...]");
  }
  return text;
}

}  // namespace nibble
