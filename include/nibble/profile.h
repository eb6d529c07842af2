// Where the time of an inference goes, step by step, and what keeps a step from running on
// integers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/progress.h"
#include "nibble/runtime.h"

#pragma GCC visibility push(default)
namespace nibble {

struct ProfileOptions {
  int threads = 1;    // 0: one per core
  int64_t batch = 1;  // for inputs whose first dimension is unknown
  /// For inputs with other unknown dimensions, by input name.
  std::map<std::string, Shape> input_shapes;
  int runs = 0;       // that are timed step by step; 0: as many as take about a second, from 10 on
  uint64_t seed = 0;  // of the random inputs
  ProgressSink* progress = nullptr;
};

/// What this machine can do with the threads in use, measured by loops of a few milliseconds: of
/// nothing but the multiplying instructions, on registers; and of copies of as many bytes as the
/// network holds. Operations per second (a multiplication and its addition are two), and bytes per
/// second, read and written. 0: unknown.
struct MachinePeak {
  double int8 = 0, int16 = 0, f32 = 0;
  double copy = 0;
  /// Of that arithmetic: i8, i16 or f32.
  double of(DType arithmetic) const;
};

/// A step, and how long it takes.
struct ProfiledStep {
  /// Its `runs` are those of the run that took the median time, from its start; its macs and bytes
  /// are of all of them together: a body of a loop runs often.
  StepProfile step;
  double median_s = 0;               // over the timed runs
  double share = 0;                  // of the sum over all steps
  std::optional<double> operations;  // per second, of a step that multiplies
  std::optional<double> of_peak;     // of MachinePeak
  std::optional<double> bytes;       // per second
  /// Why it does not compute on integers, and what would make it, in half a sentence each; empty of
  /// one that does, and of conversions and layout changes.
  std::string why_float, remedy;

  /// A step that computes in reals.
  bool is_float() const { return !why_float.empty(); }
};

struct NetworkProfile {
  std::vector<ProfiledStep> steps;  // in the order in which they run
  double steps_s = 0;               // the sum of their medians
  double whole_s = 0;    // the median of whole runs without a clock, in turns with the timed ones
  double timed_s = 0;    // of whole runs with it
  double fastest_s = 0;  // of all whole runs: far below the medians where others used the machine
  int runs = 0;          // of each kind
  int threads = 1;
  int64_t batch = 1;
  MachinePeak peak;
  bool quantized = false;  // some layer of the model is
};

/// Compiles the graph and runs it on random inputs, states carried from run to run as bench() does:
/// after a warm-up each run with a clock takes turns with one without. Throws as bench() does.
NetworkProfile profile(const Graph& graph, const ProfileOptions& options = {});

/// Steps of the same kind and arithmetic.
struct KindTotal {
  StepKind kind = StepKind::elementwise;
  DType arithmetic = DType::f32;  // as of a step
  int steps = 0;
  double seconds = 0;
  double share = 0;
  int64_t macs = 0;
  std::optional<double> operations, of_peak;  // of the steps that multiply, together
};
/// The longest first.
std::vector<KindTotal> totals_by_kind(const NetworkProfile& profile);
/// False of conversions, layout changes and control flow, which are what they are on reals and on
/// codes.
bool computes(StepKind kind);
/// "int8", "int16", "float", or "integers": of shapes, indices and truth values.
std::string_view name_of_arithmetic(DType arithmetic);
/// "convolution, int8"; "layout change".
std::string label_of(StepKind kind, DType arithmetic);

/// One sentence: what a quantized network spends its time on that integers do not make faster.
std::string why_not_faster(const NetworkProfile& quantized);
/// The same of a graph that a benchmark found `speed` times as fast as `reference`: profiled if it
/// is quantized, the reference is not, and it is not at least a tenth faster; else nullopt.
std::optional<std::string> why_not_faster(const Graph& reference, const Graph& graph, double speed,
                                          const ProfileOptions& options);

}  // namespace nibble
#pragma GCC visibility pop
