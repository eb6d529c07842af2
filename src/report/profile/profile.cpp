// profile: steps timed over many runs, in turns with runs that are not.
#include "nibble/profile.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "kernels/peak.h"
#include "passes/insert_qdq.h"
#include "report/profile/reasons.h"
#include "report/profile/turns.h"
#include "report/workload.h"

namespace nibble {
namespace {

constexpr double kWarmUp = 0.1;

// The run that took the median time: one there was, so the upper of two.
int typical_run(const std::vector<double>& times) {
  std::vector<int> order(times.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  const auto middle = order.begin() + std::ssize(order) / 2;
  std::ranges::nth_element(order, middle, {},
                           [&](int run) { return times[static_cast<size_t>(run)]; });
  return *middle;
}

// Only that run stays, from its first step on.
void keep_run(std::vector<StepProfile>& steps, int run) {
  double first = -1;
  for (StepProfile& step : steps) {
    std::erase_if(step.runs, [&](const StepRun& one) { return one.run != run; });
    for (const StepRun& one : step.runs) {
      first = first < 0 ? one.begin_s : std::min(first, one.begin_s);
    }
  }
  for (StepProfile& step : steps) {
    for (StepRun& one : step.runs) {
      one.begin_s -= first;
      one.end_s -= first;
    }
  }
}

MachinePeak measure_peak(int threads, uint64_t bytes) {
  ThreadPool pool(threads);
  const MultiplyRates rates = measure_multiply_rates(pool);
  return {.int8 = 2 * rates.int8,
          .int16 = 2 * rates.int16,
          .f32 = 2 * rates.f32,
          .copy = measure_copy_rate(pool, bytes)};
}

void fill_rates(ProfiledStep& one, const MachinePeak& peak) {
  const StepProfile& step = one.step;
  if (one.median_s <= 0) return;
  if (step.macs > 0) {
    one.operations = 2 * static_cast<double>(step.macs) / one.median_s;
    if (peak.of(step.arithmetic) > 0) one.of_peak = *one.operations / peak.of(step.arithmetic);
  }
  if (step.read_bytes) {
    const uint64_t bytes = *step.weight_bytes + *step.read_bytes + *step.written_bytes;
    one.bytes = static_cast<double>(bytes) / one.median_s;
  }
}

// A step in a body is executed several times in a run: its numbers are of one execution.
void count_executions(StepProfile& step) {
  const auto times = static_cast<uint64_t>(step.runs.size());
  step.macs *= static_cast<int64_t>(times);
  for (auto* bytes : {&step.weight_bytes, &step.read_bytes, &step.written_bytes}) {
    if (*bytes) **bytes *= times;
  }
}

std::vector<ProfiledStep> measured(std::vector<StepProfile> steps, int runs) {
  std::vector<ProfiledStep> list;
  for (StepProfile& step : steps) {
    step.run_seconds.resize(static_cast<size_t>(runs));  // a branch may not have been taken
    count_executions(step);
    const double median = median_of(step.run_seconds);
    list.push_back({.step = std::move(step), .median_s = median});
  }
  return list;
}

}  // namespace

double MachinePeak::of(DType arithmetic) const {
  if (arithmetic == DType::f32) return f32;
  return arithmetic == DType::i16 ? int16 : int8;
}

NetworkProfile profile(const Graph& graph, const ProfileOptions& options) {
  if (options.runs < 0 || options.batch < 1) {
    fail(ErrorCode::invalid_argument, "cannot measure {} runs of batches of {}", options.runs,
         options.batch);
  }
  Workload workload(graph, {.threads = options.threads,
                            .batch = options.batch,
                            .input_shapes = options.input_shapes,
                            .seed = options.seed});
  workload.warm_up(kWarmUp);
  const int runs = options.runs > 0 ? options.runs : usual_runs(workload);
  Workload* only = &workload;
  const RunTimes times = std::move(run_in_turns({&only, 1}, runs, options.progress).front());

  NetworkProfile result{.runs = runs,
                        .threads = workload.program().threads(),
                        .batch = workload.batch(),
                        .quantized = is_quantized(graph)};
  std::vector<StepProfile> steps = workload.program().profile();
  keep_run(steps, typical_run(times.timed));
  result.steps = measured(std::move(steps), runs);
  result.whole_s = median_of(times.plain);
  result.timed_s = median_of(times.timed);
  result.fastest_s = std::min(std::ranges::min(times.plain), std::ranges::min(times.timed));
  for (const ProfiledStep& step : result.steps) result.steps_s += step.median_s;
  result.peak =
      measure_peak(result.threads, workload.program().arena_bytes() +
                                       static_cast<uint64_t>(workload.program().constant_bytes()));
  for (ProfiledStep& step : result.steps) {
    step.share = result.steps_s > 0 ? step.median_s / result.steps_s : 0;
    fill_rates(step, result.peak);
  }
  explain_float_steps(graph, result.steps);
  return result;
}

}  // namespace nibble
