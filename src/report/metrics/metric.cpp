#include "report/metrics/metric.h"

#include <limits>

#include "base/table.h"
#include "report/metrics/list.h"

namespace nibble {

std::span<const MetricRow> metrics() {
  static const std::vector<MetricRow> rows = metric_rows();
  return rows;
}

const MetricRow& find_metric(std::string_view name) { return find_row(metrics(), "metric", name); }

std::vector<MetricInfo> metric_choices() {
  std::vector<MetricInfo> choices;
  for (const MetricRow& row : metrics()) {
    choices.push_back({{row.name, row.summary}, row.needs, row.larger_is_better, row.unit});
  }
  return choices;
}

Statistic statistic_of(const MetricRow& row, const Contributions& contributions) {
  if (row.statistic != nullptr) return row.statistic(contributions);
  return [&contributions](std::span<const uint32_t> counts) {
    double sum = 0;
    double samples = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      sum += counts[i] * contributions.of(i)[0];
      samples += counts[i];
    }
    return samples > 0 ? sum / samples : std::numeric_limits<double>::quiet_NaN();
  };
}

}  // namespace nibble
