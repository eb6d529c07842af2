// auc: the area under the ROC curve, P(score of a sample of the class > score of another) with ties
// counting half (Mann and Whitney); of class 1 where there are two, else the mean over the classes,
// each against the rest, that some samples are of and some are not.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "report/metrics/list.h"

namespace nibble {
namespace {

// The label, then the score of each class (of class 1 alone where there is a single score). A
// sample with NaN has no place in the order; it counts as wrong in all comparisons, by the lowest
// score for its own class and the highest for the others.
void judge(const MetricInput& input, std::vector<double>& numbers) {
  if (input.classes > 2 && input.reading.kind == ClassReading::Kind::score) {
    fail(ErrorCode::invalid_argument, "a single score ('{}') cannot rank {} classes",
         input.reading.name, input.classes);
  }
  const bool sound = predicted_class(input.reading, input.output) >= 0;
  const std::vector<float> scores = as_floats(input.output);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  numbers.push_back(static_cast<double>(input.label));
  const bool two = scores.size() == 2;
  for (size_t k = two ? 1 : 0; k < scores.size(); ++k) {
    const int64_t of_class = scores.size() <= 2 ? 1 : static_cast<int64_t>(k);
    // Of two logits the difference ranks as their softmax does.
    const double score = two ? static_cast<double>(scores[1]) - scores[0] : scores[k];
    numbers.push_back(sound && !std::isnan(score) ? score
                      : of_class == input.label   ? -kInfinity
                                                  : kInfinity);
  }
}

// Samples in the order of one score, and where equal ones end.
struct Order {
  double label = 0;
  std::vector<size_t> samples;
  std::vector<bool> ends;  // of a run of equal scores
};

double area(const Contributions& contributions, const Order& order,
            std::span<const uint32_t> counts) {
  double positives = 0, negatives = 0;  // so far
  double tied_positives = 0, tied_negatives = 0;
  double pairs = 0;
  for (size_t i = 0; i < order.samples.size(); ++i) {
    const size_t sample = order.samples[i];
    (contributions.of(sample)[0] == order.label ? tied_positives : tied_negatives) +=
        counts[sample];
    if (!order.ends[i]) continue;
    pairs += tied_positives * (negatives + tied_negatives / 2);
    positives += tied_positives;
    negatives += tied_negatives;
    tied_positives = tied_negatives = 0;
  }
  return pairs / (positives * negatives);  // 0/0 where one is missing
}

Order order_by(const Contributions& contributions, size_t column, double label) {
  Order order{.label = label, .samples = std::vector<size_t>(contributions.samples())};
  std::iota(order.samples.begin(), order.samples.end(), size_t{0});
  const auto score = [&](size_t sample) { return contributions.of(sample)[column]; };
  std::ranges::stable_sort(order.samples, {}, score);
  for (size_t i = 0; i < order.samples.size(); ++i) {
    order.ends.push_back(i + 1 == order.samples.size() ||
                         score(order.samples[i]) != score(order.samples[i + 1]));
  }
  return order;
}

Statistic statistic(const Contributions& contributions) {
  std::vector<Order> orders;
  const size_t columns = contributions.samples() == 0 ? 0 : contributions.of(0).size() - 1;
  for (size_t column = 0; column < columns; ++column) {
    const double label = columns == 1 ? 1 : static_cast<double>(column);
    orders.push_back(order_by(contributions, column + 1, label));
  }
  return [&contributions, orders = std::move(orders)](std::span<const uint32_t> counts) {
    double sum = 0;
    double seen = 0;
    for (const Order& order : orders) {
      const double one = area(contributions, order, counts);
      if (std::isnan(one)) continue;
      sum += one;
      ++seen;
    }
    return seen > 0 ? sum / seen : std::numeric_limits<double>::quiet_NaN();
  };
}

}  // namespace

MetricRow auc_metric() {
  return {.name = "auc",
          .summary = "area under the ROC curve; the mean over classes, each against the rest",
          .reads_classes = true,
          .scores_only = true,
          .judge = judge,
          .statistic = statistic};
}

}  // namespace nibble
