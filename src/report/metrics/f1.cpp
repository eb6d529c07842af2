// f1: the harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); of class 1 where there
// are two classes, else the mean over the classes that occur, as labels or as answers ("macro").
#include <limits>
#include <map>

#include "report/metrics/list.h"

namespace nibble {
namespace {

// Label, answer, whether there are two classes only.
void judge(const MetricInput& input, std::vector<double>& numbers) {
  const bool binary = input.classes <= 2 && input.reading.classes <= 2;
  numbers.push_back(static_cast<double>(input.label));
  numbers.push_back(static_cast<double>(predicted_class(input.reading, input.output)));
  numbers.push_back(binary ? 1 : 0);
}

struct Counts {
  double hits = 0;
  double errors = 0;  // false answers and missed labels
};

double f1_of(const Counts& counts) { return 2 * counts.hits / (2 * counts.hits + counts.errors); }

double f1(const Contributions& contributions, std::span<const uint32_t> counts) {
  std::map<double, Counts> classes;
  bool binary = true;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::span<const double> sample = contributions.of(i);
    binary = binary && sample[2] == 1;
    if (sample[0] == sample[1]) {
      classes[sample[0]].hits += counts[i];
      continue;
    }
    classes[sample[0]].errors += counts[i];
    if (sample[1] >= 0) classes[sample[1]].errors += counts[i];  // not NaN
  }
  double sum = 0;
  double seen = 0;
  for (const auto& [label, of_class] : classes) {
    if (binary && label != 1) continue;
    sum += f1_of(of_class);
    ++seen;
  }
  return seen > 0 ? sum / seen : std::numeric_limits<double>::quiet_NaN();
}

Statistic statistic(const Contributions& contributions) {
  return [&contributions](std::span<const uint32_t> counts) { return f1(contributions, counts); };
}

}  // namespace

MetricRow f1_metric() {
  return {.name = "f1",
          .summary = "F1 score of class 1, or the mean over classes where there are more than two",
          .reads_classes = true,
          .cuts = true,
          .judge = judge,
          .statistic = statistic};
}

}  // namespace nibble
