// bench: latency of several graphs, measured in turns.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/check.h"
#include "nibble/data.h"
#include "nibble/evaluate.h"
#include "report/random_inputs.h"

namespace nibble {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kWarmUpShare = 0.1;  // of the time measured
constexpr int kWarmUpRuns = 3;
constexpr int kFewestRuns = 5;  // even of a graph slower than the time allows
constexpr double kTurn = 0.05;  // seconds one graph runs before it is the next one's turn
constexpr size_t kMostTimes = 1U << 20U;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The input's shape with `batch` for an unknown first dimension.
Shape input_shape(const Value& input, const BenchOptions& options) {
  const auto given = options.input_shapes.find(input.name);
  if (given != options.input_shapes.end()) return given->second;
  Shape shape = input.type.shape;
  if (shape.rank() > 0 && shape[0] < 0) shape[0] = options.batch;
  if (!shape.has_rank() || !shape.is_static()) {
    fail(ErrorCode::invalid_argument,
         "the input '{}' is {}: give its shape to measure the model, with --shape {}=1x16 say",
         input.name, to_string(input.type), input.name);
  }
  return shape;
}

// One graph under measurement.
class Subject {
 public:
  Subject(const Graph& graph, const BenchOptions& options, int threads)
      : program_(make(graph, options, threads)) {
    batch_ = 1;
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const Value& input = graph.value(graph.inputs[i]);
      const Shape shape = input_shape(input, options);
      inputs_.push_back(random_input(graph, graph.inputs[i], shape, options.seed + i));
      if (i == 0 && shape.rank() > 0) batch_ = shape[0];
    }
    for (const auto& [input, output] : stored_carry(graph)) {
      states_.push_back({position(graph, graph.inputs, input),
                         position(graph, graph.outputs, output),
                         fmt::format("{}={}", output, input)});
      Tensor& start = inputs_[states_.back().input];
      start = Tensor(start.dtype(), start.shape());
    }
  }

  void run_once() {
    const std::span<const Tensor> outputs = program_.run(inputs_);
    for (const State& state : states_) {
      Tensor& input = inputs_[state.input];
      if (outputs[state.output].shape() != input.shape()) {
        fail(
            ErrorCode::invalid_argument,
            "the state {} cannot be carried from run to run: it goes in as {} and comes out as {}; "
            "give its shape with --shape",
            state.name, input.shape().to_string(), outputs[state.output].shape().to_string());
      }
      std::memcpy(input.raw(), outputs[state.output].raw(), input.bytes());
    }
  }
  /// Runs for a turn's length, at least once.
  void take_turn(double length) {
    const auto start = Clock::now();
    do {
      const auto begin = Clock::now();
      run_once();
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
    const double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    const auto rank = static_cast<size_t>(std::ceil(0.95 * static_cast<double>(n)));
    return {.threads = threads,
            .batch = batch_,
            .runs = static_cast<int>(n),
            .median_s = median,
            .p95_s = sorted[rank - 1],
            .samples_per_second = static_cast<double>(batch_) / median,
            .memory_bytes = program_.arena_bytes() + program_.constant_bytes()};
  }

 private:
  struct State {
    size_t input = 0;   // among the graph's inputs
    size_t output = 0;  // among its outputs
    std::string name;   // OUTPUT=INPUT
  };

  static size_t position(const Graph& graph, const std::vector<ValueId>& ids,
                         const std::string& name) {
    const auto at = std::ranges::find(ids, name, [&](ValueId id) { return graph.value(id).name; });
    check(at != ids.end(), "stored_carry() names inputs and outputs of the graph");
    return static_cast<size_t>(at - ids.begin());
  }

  static Program make(const Graph& graph, const BenchOptions& options, int threads) {
    CompileOptions compile_options{.threads = threads};
    for (ValueId id : graph.inputs) {
      const Value& input = graph.value(id);
      compile_options.input_shapes[input.name] = input_shape(input, options);
    }
    return compile(graph, compile_options);
  }

  Program program_;
  std::vector<Tensor> inputs_;
  std::vector<State> states_;
  int64_t batch_ = 1;
  std::vector<double> times_;
  double total_ = 0;
};

void warm_up(Subject& subject, double seconds) {
  const auto start = Clock::now();
  for (int run = 0; run < kWarmUpRuns || seconds_since(start) < seconds; ++run) {
    subject.run_once();
    // A graph slower than the whole warm-up has warmed up by then.
    if (run > 0 && seconds_since(start) > 10 * seconds) break;
  }
}

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
    for (Subject& subject : subjects) warm_up(subject, kWarmUpShare * options.seconds);
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
