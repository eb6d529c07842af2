#include "report/latency_meter.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/machine.h"
#include "nibble/evaluate.h"
#include "nibble/isa.h"
#include "report/profile/turns.h"
#include "report/statistics.h"

namespace nibble {
namespace {

constexpr double kWarmUp = 0.1;  // seconds

TimedNetwork measured(const RunTimes& times, const std::vector<StepProfile>& steps) {
  const Interval interval = median_interval(times.plain);
  TimedNetwork network{.median_s = median_of(times.plain),
                       .low_s = interval.low,
                       .high_s = interval.high,
                       .runs = static_cast<int>(times.plain.size()),
                       .steps = {}};
  for (const StepProfile& step : steps) {
    std::vector<double> seconds = step.run_seconds;
    seconds.resize(times.timed.size());  // a branch may not have been taken
    network.steps.push_back({.name = step.node,
                             .conversion = step.kind == StepKind::conversion,
                             .seconds = median_of(std::move(seconds))});
  }
  return network;
}

}  // namespace

std::vector<TimedNetwork> RuntimeMeter::time(std::span<const Graph> graphs) {
  std::vector<std::unique_ptr<Workload>> workloads;
  std::vector<Workload*> all;
  int runs = 0;
  for (const Graph& graph : graphs) {
    workloads.push_back(std::make_unique<Workload>(
        graph,
        WorkloadOptions{.threads = threads_, .batch = 1, .input_shapes = shapes_, .seed = seed_}));
    all.push_back(workloads.back().get());
    batch_ = all.back()->batch();
    all.back()->warm_up(kWarmUp);
    runs = std::max(runs, usual_runs(*all.back()));
  }
  const std::vector<RunTimes> times = run_in_turns(all, runs, progress_);
  std::vector<TimedNetwork> networks;
  for (size_t i = 0; i < times.size(); ++i) {
    networks.push_back(measured(times[i], all[i]->program().profile()));
  }
  return networks;
}

std::string RuntimeMeter::conditions() const {
  const int threads = threads_ > 0 ? threads_ : cores();
  const std::string cpu = cpu_name();
  return fmt::format("{} {}, batch {}, {}{}", threads, threads == 1 ? "thread" : "threads", batch_,
                     cpu.empty() ? "" : cpu + ", ", name_of(best_isa()));
}

}  // namespace nibble
