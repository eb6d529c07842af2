// miou: intersection over union of the places that are of a class and those said to be, summed over
// all samples, then the mean over the classes that occur.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/check.h"
#include "report/metrics/list.h"

namespace nibble {
namespace {

// A map of classes does not say how many there are; 255 then stands for none, as in a byte.
constexpr int64_t kAnyClass = std::numeric_limits<int64_t>::max();
constexpr int64_t kNoClass = 255;

std::vector<int64_t> without_ones(const Shape& shape) {
  std::vector<int64_t> extents;
  std::ranges::copy_if(shape.dims(), std::back_inserter(extents),
                       [](int64_t extent) { return extent != 1; });
  return extents;
}

// The class of every place of a map, from scores [before, classes, after].
std::vector<int64_t> classes_of(const std::vector<float>& scores, size_t before, size_t classes) {
  const size_t after = scores.size() / (before * classes);
  std::vector<int64_t> result(before * after);
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t first = i / after * classes * after + i % after;
    int64_t best = 0;
    for (size_t k = 0; k < classes; ++k) {
      const float score = scores[first + k * after];
      if (std::isnan(score)) {
        best = -1;
        break;
      }
      if (score > scores[first + static_cast<size_t>(best) * after]) {
        best = static_cast<int64_t>(k);
      }
    }
    result[i] = best;
  }
  return result;
}

// What the output says of every place of the target; empty if it is not of the target's size.
std::vector<int64_t> answers(const MetricInput& input, int64_t& classes) {
  const std::vector<int64_t> have = without_ones(input.output.shape());
  const std::vector<int64_t> places = without_ones(input.target->shape());
  if (have == places && !is_float(input.output.dtype())) {
    classes = kAnyClass;
    const Tensor whole = convert(input.output, DType::i64);
    const auto values = whole.data<int64_t>();
    return {values.begin(), values.end()};
  }
  const std::vector<float> scores = as_floats(input.output);
  if (have == places) {
    classes = 2;
    std::vector<int64_t> result;
    for (const float score : scores) {
      result.push_back(std::isnan(score) ? -1 : score > input.reading.cut ? 1 : 0);
    }
    return result;
  }
  size_t before = 1;
  for (size_t axis = 0; axis < have.size(); ++axis) {
    std::vector<int64_t> rest = have;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(axis));
    if (rest == places) {
      classes = have[axis];
      return classes_of(scores, before, static_cast<size_t>(have[axis]));
    }
    before *= static_cast<size_t>(have[axis]);
  }
  return {};
}

// For each class that occurs: class, intersection, union. Places whose target is none of the
// classes (255, -1) are not looked at.
void judge(const MetricInput& input, std::vector<double>& numbers) {
  if (is_float(input.target->dtype())) {
    fail(ErrorCode::invalid_argument, "miou needs targets that are classes (integers), not {}",
         name_of(input.target->dtype()));
  }
  int64_t classes = 0;
  const std::vector<int64_t> answer = answers(input, classes);
  if (answer.empty()) return;
  const Tensor whole = convert(*input.target, DType::i64);
  struct Overlap {
    double both = 0;
    double either = 0;
  };
  std::map<int64_t, Overlap> overlaps;
  for (size_t i = 0; i < answer.size(); ++i) {
    const int64_t target = whole.data<int64_t>()[i];
    const bool left_out = target == kNoClass && classes == kAnyClass;
    if (target < 0 || target >= classes || left_out) continue;
    ++overlaps[target].either;
    if (answer[i] == target) {
      ++overlaps[target].both;
    } else if (answer[i] >= 0) {
      ++overlaps[answer[i]].either;
    }
  }
  if (overlaps.empty()) overlaps[0] = {};  // judged, and nothing to see
  for (const auto& [of_class, overlap] : overlaps) {
    numbers.insert(numbers.end(), {static_cast<double>(of_class), overlap.both, overlap.either});
  }
}

double miou(const Contributions& contributions, std::span<const uint32_t> counts) {
  std::map<double, std::pair<double, double>> classes;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::span<const double> sample = contributions.of(i);
    for (size_t k = 0; k + 2 < sample.size(); k += 3) {
      auto& [both, either] = classes[sample[k]];
      both += counts[i] * sample[k + 1];
      either += counts[i] * sample[k + 2];
    }
  }
  double sum = 0;
  double seen = 0;
  for (const auto& [of_class, overlap] : classes) {
    if (overlap.second == 0) continue;
    sum += overlap.first / overlap.second;
    ++seen;
  }
  return seen > 0 ? sum / seen : std::numeric_limits<double>::quiet_NaN();
}

Statistic statistic(const Contributions& contributions) {
  return [&contributions](std::span<const uint32_t> counts) { return miou(contributions, counts); };
}

}  // namespace

MetricRow miou_metric() {
  return {.name = "miou",
          .summary = "intersection over union of a map of classes, mean over the classes",
          .needs = MetricNeeds::targets,
          .cuts = true,
          .judge = judge,
          .statistic = statistic};
}

}  // namespace nibble
