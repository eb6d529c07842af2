#include "report/profile/turns.h"

#include <algorithm>
#include <chrono>

namespace nibble {
namespace {

constexpr double kSeconds = 1.0;  // of all runs of a network
constexpr int kFewestRuns = 10;
constexpr int kMostRuns = 1000;

double time_of_run(Workload& workload) {
  const auto start = std::chrono::steady_clock::now();
  workload.run_once();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int usual_runs(Workload& workload) {
  const double pairs = kSeconds / 2 / std::max(time_of_run(workload), 1e-9);
  return std::clamp(static_cast<int>(std::min<double>(pairs, kMostRuns)), kFewestRuns, kMostRuns);
}

std::vector<RunTimes> run_in_turns(std::span<Workload*> workloads, int runs,
                                   ProgressSink* progress) {
  std::vector<RunTimes> times(workloads.size());
  for (Workload* workload : workloads) workload->program().profile(true);
  for (int run = 0; run < runs; ++run) {
    for (size_t i = 0; i < workloads.size(); ++i) {
      Program& program = workloads[i]->program();
      program.hold_profile(true);
      times[i].plain.push_back(time_of_run(*workloads[i]));
      program.hold_profile(false);
      times[i].timed.push_back(time_of_run(*workloads[i]));
    }
    report_progress(progress, "profiling", run + 1, runs);
  }
  return times;
}

}  // namespace nibble
