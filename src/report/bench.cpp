// bench: latency of several graphs, measured in turns.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "base/check.h"
#include "nibble/evaluate.h"
#include "report/workload.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWarmUpShare = 0.1;  // of the time measured
constexpr int kFewestRuns = 5;        // even of a graph slower than the time allows
constexpr double kTurn = 0.05;        // seconds one graph runs before it is the next one's turn
constexpr size_t kMostTimes = 1U << 20U;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One graph under measurement.
class Subject {
 public:
  Subject(const Graph& graph, const BenchOptions& options, int threads)
      : workload_(graph, {.threads = threads,
                          .batch = options.batch,
                          .input_shapes = options.input_shapes,
                          .seed = options.seed}) {}

  void warm_up(double seconds) { workload_.warm_up(seconds); }
  /// Runs for a turn's length, at least once.
  void take_turn(double length) {
    const auto start = Clock::now();
    do {
      const auto begin = Clock::now();
      workload_.run_once();
      const double time = seconds_since(begin);
      if (times_.size() < kMostTimes) times_.push_back(time);
      total_ += time;
    } while (seconds_since(start) < length);
  }
  double total() const { return total_; }
  bool done(double seconds) const {
    return total_ >= seconds && times_.size() >= static_cast<size_t>(kFewestRuns);
  }

  Latency result(int threads) const {
    std::vector<double> sorted = times_;
    std::sort(sorted.begin(), sorted.end());
    const size_t n = sorted.size();
    const double median = median_of(sorted);
    const auto rank = static_cast<size_t>(std::ceil(0.95 * static_cast<double>(n)));
    const Program& program = workload_.program();
    return {.threads = threads,
            .batch = workload_.batch(),
            .runs = static_cast<int>(n),
            .median_s = median,
            .p95_s = sorted[rank - 1],
            .samples_per_second = static_cast<double>(workload_.batch()) / median,
            .memory_bytes = program.arena_bytes() + program.constant_bytes()};
  }

 private:
  Workload workload_;
  std::vector<double> times_;
  double total_ = 0;
};

}  // namespace

std::vector<std::vector<Latency>> bench(const std::vector<Graph>& graphs,
                                        const BenchOptions& options) {
  if (options.batch < 1 || !(options.seconds > 0)) {
    fail(ErrorCode::invalid_argument, "cannot measure batches of {} for {} seconds", options.batch,
         options.seconds);
  }
  std::vector<std::vector<Latency>> results(graphs.size());
  const double wanted = options.seconds * static_cast<double>(graphs.size());
  const auto total =
      static_cast<int64_t>(std::ceil(1000 * wanted * static_cast<double>(options.threads.size())));
  double before = 0;
  for (int threads : options.threads) {
    std::vector<Subject> subjects;
    subjects.reserve(graphs.size());
    for (const Graph& graph : graphs) subjects.emplace_back(graph, options, threads);
    for (Subject& subject : subjects) subject.warm_up(kWarmUpShare * options.seconds);
    for (bool all_done = subjects.empty(); !all_done;) {
      all_done = true;
      double spent = before;
      for (Subject& subject : subjects) {
        if (!subject.done(options.seconds)) {
          subject.take_turn(std::min(kTurn, options.seconds / kFewestRuns));
        }
        all_done = all_done && subject.done(options.seconds);
        spent += std::min(subject.total(), options.seconds);
      }
      report_progress(options.progress, "measuring", static_cast<int64_t>(spent * 1000), total);
    }
    for (size_t i = 0; i < graphs.size(); ++i) results[i].push_back(subjects[i].result(threads));
    before += wanted;
  }
  return results;
}

uint64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace nibble
