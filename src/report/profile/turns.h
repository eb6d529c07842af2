// Networks that are run in turns, with a clock in their steps and without.
#pragma once

#include <span>
#include <vector>

#include "nibble/progress.h"
#include "report/workload.h"

namespace nibble {

/// Of whole runs, in seconds: without a clock in the steps, and with it.
struct RunTimes {
  std::vector<double> plain, timed;
};

/// So many runs of this network, each with and without a clock, as take about a second: 10 to 1000.
/// It is run once.
int usual_runs(Workload& workload);

/// Each round runs each network without and then with a clock: what disturbs the machine disturbs
/// them alike. Their profiles (Program::profile()) are of the timed runs.
std::vector<RunTimes> run_in_turns(std::span<Workload*> workloads, int runs,
                                   ProgressSink* progress);

}  // namespace nibble
