#include "options.h"

#include <nlohmann/json.hpp>

#include "base/options.h"
#include "convert.h"
#include "module.h"
#include "nibble/measure.h"
#include "nibble/target.h"
#include "nibble/train.h"
#include "train/options.h"

namespace nibble::python {
namespace {

std::string_view name_of(OptionKind kind) {
  switch (kind) {
    case OptionKind::toggle:
      return "toggle";
    case OptionKind::integer:
      return "integer";
    case OptionKind::number:
      return "number";
    case OptionKind::choice:
      return "choice";
    case OptionKind::text:
      return "text";
    case OptionKind::list:
      return "list";
  }
  return "";
}

nlohmann::ordered_json value_json(const std::optional<OptionValue>& value) {
  if (!value) return nullptr;
  return std::visit([](const auto& held) -> nlohmann::ordered_json { return held; }, *value);
}

// A row as Python documents it.
template <typename Settings>
nb::object rows_of(std::span<const OptionRow<Settings>> rows, const Settings& defaults) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const OptionRow<Settings>& row : rows) {
    const std::optional<OptionValue> value = row.get(defaults);
    nlohmann::ordered_json entry = {{"key", row.spec.key},
                                    {"flag", row.spec.flag},
                                    {"kind", name_of(row.spec.kind)},
                                    {"help", help_of(row.spec, value)},
                                    {"default", value_json(value)},
                                    {"flag_value", row.spec.flag_value}};
    for (const OptionChoice& choice : row.spec.choices) {
      entry["choices"].push_back({{"name", choice.name}, {"summary", choice.summary}});
    }
    all.push_back(std::move(entry));
  }
  return to_python(all);
}

nb::object choices_of(const std::vector<Choice>& choices) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const Choice& choice : choices) all[std::string(choice.name)] = choice.summary;
  return to_python(all);
}

nb::object metrics_json() {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const MetricInfo& metric : metric_choices()) all[std::string(metric.name)] = metric.summary;
  return to_python(all);
}

nb::object architectures_json() {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const ArchitectureRow& row : architectures()) all[std::string(row.name)] = row.summary;
  return to_python(all);
}

}  // namespace

QuantizeSettings quantize_settings(const std::string& json) {
  QuantizeSettings settings;
  apply_settings_json(json, settings);
  const auto given = nlohmann::ordered_json::parse(json);
  check_budget_alone(settings, given.contains("weights"));
  return settings;
}

Goal goal_of(const std::string& json) {
  Goal goal;
  const auto rows = goal_option_rows();
  apply_options(options_from_json(nlohmann::ordered_json::parse(json), rows), rows, goal);
  check_goal(goal);
  return goal;
}

TrainChoices train_choices(const std::string& json) {
  const auto given = options_from_json(nlohmann::ordered_json::parse(json), train_option_rows());
  return [given](TrainOptions options) {
    apply_options(given, train_option_rows(), options);
    return options;
  };
}

void define_options(nb::module_& module) {
  module.def("quantize_options",
             [] { return rows_of(quantize_option_rows(), QuantizeSettings{}); });
  module.def("goal_options", [] { return rows_of(goal_option_rows(), Goal{}); });
  module.def("train_options", [] { return rows_of(train_option_rows(), TrainOptions{}); });
  module.def("targets", [] { return choices_of(target_choices()); });
  module.def("metrics", [] { return metrics_json(); });
  module.def("architectures", [] { return architectures_json(); });
}

}  // namespace nibble::python
