// A table of options (base/options.h) as flags of a command.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/option_rows.h"
#include "nibble/error.h"

namespace nibble::cli {

/// Adds the flag to `app`; `take` gets what it was given. What is not allowed is wrong usage.
CLI::Option* add_flag(CLI::App& app, const OptionSpec& spec, const std::string& help,
                      const std::string& group, std::function<void(OptionValue)> take);

/// The same for a flag that takes several values with commas between them, each as `spec` says.
CLI::Option* add_list_flag(CLI::App& app, const OptionSpec& spec, const std::string& group,
                           std::function<void(std::span<const OptionValue>)> take);

/// An option of one command alone: sets `value`, which outlives the parsing and is the default.
template <typename T>
CLI::Option* add_option(CLI::App& app, OptionSpec spec, T& value,
                        const std::string& group = "Options") {
  using Row = OptionRow<T>;
  const auto row = std::make_shared<const Row>(option<T>(
      std::move(spec), [](auto& member) -> auto& { return member; }));
  return add_flag(app, row->spec, help_of(row->spec, row->get(value)), group,
                  [row, &value](const OptionValue& given) { row->set(value, given); });
}
/// Numbers with commas between them, in place of what `values` holds; `spec` says what each may be.
template <typename T>
CLI::Option* add_numbers(CLI::App& app, OptionSpec spec, std::vector<T>& values,
                         const std::string& group = "Options") {
  using Row = OptionRow<T>;
  const auto row = std::make_shared<const Row>(option<T>(
      std::move(spec), [](auto& member) -> auto& { return member; }));
  return add_list_flag(app, row->spec, group, [row, &values](std::span<const OptionValue> given) {
    values.assign(given.size(), T{});
    for (size_t i = 0; i < given.size(); ++i) row->set(values[i], given[i]);
  });
}
/// One that has one of these values, called by these names.
template <typename T>
void add_choice(CLI::App& app, OptionSpec spec, std::vector<std::pair<std::string, T>> choices,
                T& value) {
  const auto row = std::make_shared<const OptionRow<T>>(choice_option<T, T>(
      std::move(spec), std::move(choices), [](auto& member) -> auto& { return member; }));
  add_flag(app, row->spec, help_of(row->spec, row->get(value)), "Options",
           [row, &value](const OptionValue& given) { row->set(value, given); });
}

/// The flags that were given, of one table. Must outlive the parsing.
template <typename Settings>
class OptionFlags {
 public:
  /// Rows without a flag, and the one whose key is `without`, are left out. `defaults` are told by
  /// help, where they are known.
  void declare(CLI::App& app, std::span<const OptionRow<Settings>> rows, const std::string& group,
               const Settings* defaults, std::string_view without = "") {
    rows_ = rows;
    for (const OptionRow<Settings>& row : rows) {
      if (row.spec.flag.empty() || row.spec.key == without) continue;
      const auto value = defaults != nullptr ? row.get(*defaults) : std::nullopt;
      add_flag(app, row.spec, help_of(row.spec, value), group,
               [this, &row](OptionValue given) { given_.emplace_back(&row, std::move(given)); });
    }
  }
  /// Sets what was given.
  void apply(Settings& settings) const { apply_options(given_, rows_, settings); }
  bool has(std::string_view key) const {
    for (const auto& [row, value] : given_) {
      if (row->spec.key == key) return true;
    }
    return false;
  }

 private:
  std::span<const OptionRow<Settings>> rows_;
  GivenOptions<Settings> given_;
};

}  // namespace nibble::cli
