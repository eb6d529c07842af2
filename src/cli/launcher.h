// Starting a command several times on this machine, as the ranks of one job.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace nibble::cli {

struct LaunchPlan {
  int ranks = 1;
  int port = 0;                   // where rank 0 listens; 0: one that is free
  std::optional<double> timeout;  // NIBBLE_RANK_TIMEOUT
  std::vector<std::string> command;
};

/// Starts them and waits for all. What rank 0 writes stays as it is, lines of others begin with
/// "[RANK] "; SIGINT, SIGTERM and SIGHUP are passed on to all. Once one has failed, the others are
/// left a few seconds to notice, then asked to end (SIGTERM), then killed. Returns the exit code of
/// the first that failed (128 + the signal, if one ended it), else 0. They do not outlive this
/// process. Throws Error{io} if they cannot be started.
int launch(const LaunchPlan& plan);

}  // namespace nibble::cli
