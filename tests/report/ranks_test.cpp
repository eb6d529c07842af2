// What several ranks measure of models is what one does, to the last number.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <mutex>

#include "../runtime/graphs.h"
#include "nibble/measure.h"
#include "report/listed_samples.h"
#include "support/rank_threads.h"

namespace nibble {
namespace {

using test::Builder;
using test::ListedSamples;
using testing::on_rank_threads;

// A matrix of its own, nearly that of the other seeds.
Graph classifier(uint64_t seed) {
  Builder b;
  const ValueId x = b.input("x", {-1, 6});
  Tensor weights = testing::random_tensor({6, 3}, 1);
  const Tensor off = testing::random_tensor({6, 3}, seed + 10);
  for (size_t i = 0; i < 18; ++i) {
    weights.data<float>()[i] += 0.2F * static_cast<float>(seed) * off.data<float>()[i];
  }
  b.graph.outputs = {b.op("MatMul", {x, b.constant(weights)})};
  return b.graph;
}

ListedSamples samples(int64_t count) {
  std::vector<float> values;
  std::vector<int64_t> labels;
  Random random(3);
  for (int64_t i = 0; i < count * 6; ++i) values.push_back(static_cast<float>(random.normal()));
  for (int64_t i = 0; i < count; ++i) labels.push_back(static_cast<int64_t>(random.below(3)));
  return test::rows_of(6, values, labels, 3);
}

std::string text_of(const Evaluation& evaluation) {
  std::string text = fmt::format("{} {} {} {} {} {}", evaluation.samples, evaluation.correct,
                                 evaluation.interval.low, evaluation.interval.high,
                                 evaluation.output, evaluation.nan_samples);
  for (const auto& right : evaluation.right) text += fmt::format(" {}", right);
  for (const auto& answer : evaluation.predicted) text += fmt::format(" {}", answer);
  for (const auto& note : evaluation.notes) text += "; " + note;
  return text;
}

std::string text_of(const std::vector<MetricReport>& reports) {
  std::string text;
  for (const MetricReport& report : reports) {
    text += report.metric + " " + report.output + "\n";
    for (const Measurement& one : report.models) {
      text += fmt::format("{} {} {:a} {:a} {:a}", one.samples, one.left_out, one.value,
                          one.interval.low, one.interval.high);
      for (const double number : one.per_sample) text += fmt::format(" {:a}", number);
      for (const std::string& note : one.notes) text += "; " + note;
      text += "\n";
    }
    for (const MeasuredDifference& one : report.differences) {
      text += fmt::format("{:a} {:a} {:a}\n", one.value, one.interval.low, one.interval.high);
    }
  }
  return text;
}

/// `measure(ranks)` gives a text; without ranks the one that is wanted of all.
void expect_same_on_ranks(const std::function<std::string(Ranks*)>& measure) {
  const std::string alone = measure(nullptr);
  for (const int size : {2, 3, 4, 9}) {
    std::mutex mutex;
    on_rank_threads(size, [&](Ranks& ranks) {
      const std::string text = measure(&ranks);
      const std::lock_guard lock(mutex);
      EXPECT_EQ(text, alone) << "rank " << ranks.rank() << " of " << size;
    });
  }
}

TEST(evaluate_on_ranks, is_what_one_rank_finds) {
  const Graph graph = classifier(1);
  for (const int64_t count : {1, 2, 7, 150}) {
    ListedSamples data = samples(count);
    if (count > 4) data.samples[4].data<float>()[0] = std::nanf("");
    for (const int batch : {1, 4, 32}) {
      expect_same_on_ranks([&](Ranks* ranks) {
        return text_of(evaluate(graph, data, {.batch = batch, .threads = 1, .ranks = ranks}));
      });
    }
  }
}

TEST(measure_on_ranks, every_metric_is_what_one_rank_finds) {
  const Graph first = classifier(0), second = classifier(1);
  const ListedSamples data = samples(90);
  const std::vector<MeasuredModel> models = {{.name = "first", .graph = &first, .data = &data},
                                             {.name = "second", .graph = &second, .data = &data}};
  for (const MetricInfo& metric : metric_choices()) {
    // top5 is always right here.
    if (metric.needs == MetricNeeds::targets || metric.name == "top5") continue;
    expect_same_on_ranks([&](Ranks* ranks) {
      return text_of(measure(models, {.metric = std::string(metric.name),
                                      .batch = 8,
                                      .threads = 1,
                                      .resamples = 100,
                                      .ranks = ranks}));
    });
  }
}

}  // namespace
}  // namespace nibble
