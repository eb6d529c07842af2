#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/check.h"
#include "passes/pass.h"

namespace nibble {
namespace {

const PassRow& find_pass(std::string_view name) {
  const std::span<const PassRow> table = pass_table();
  const auto row = std::ranges::find(table, name, &PassRow::name);
  check(row != table.end(), fmt::format("there is no pass '{}'", name));
  return *row;
}

// Inferring on a copy: it must not help the passes behind.
void check_graph(const Graph& graph) {
  graph.validate();
  Graph copy = graph;
  infer_types(copy);
}

std::optional<int> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::string_view digits(text);
  int number = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 0) {
    fail(ErrorCode::invalid_argument, "{} is '{}'; it must be a number", variable, digits);
  }
  return number;
}

}  // namespace

PassControl PassControl::from_environment() {
#ifdef NDEBUG
  constexpr int kCheck = 0;
#else
  constexpr int kCheck = 1;
#endif
  return {.check_each = number_in("NIBBLE_CHECK_PASSES").value_or(kCheck) != 0,
          .stop_after = number_in("NIBBLE_STOP_AFTER_PASS")};
}

int run_passes(Graph& graph, std::span<const std::string_view> names, const PassControl& control) {
  const auto count =
      std::min(static_cast<size_t>(control.stop_after.value_or(INT32_MAX)), names.size());
  int changes = 0;
  for (size_t i = 0; i < count; ++i) {
    const PassRow& row = find_pass(names[i]);
    if (!control.check_each) {
      changes += row.run(graph);
      continue;
    }
    with_context([&] { return fmt::format("pass {} ({})", i + 1, row.name); },
                 [&] {
                   changes += row.run(graph);
                   check_graph(graph);
                 });
  }
  return changes;
}

}  // namespace nibble
