// nibble bench: latency, throughput, peak memory and file size; models run in turns.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "cli/command.h"
#include "cli/program.h"
#include "cli/report_steps.h"
#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "nibble/profile.h"
#include "onnx/model_size.h"
#include "report/format.h"
#include "report/table.h"

extern char** environ;

namespace nibble::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  std::vector<int> threads = {1};
  int64_t batch = 1;
  std::vector<std::string> shapes;
  std::vector<std::string> carry;
  double seconds = 1.0;
  bool json = false;
  uint64_t seed = 0;
};

// Peak resident memory of a fresh process that loads, compiles and runs the model once: measured
// inside this process, the models would be added up. The child prints the number; none if it could
// not be started.
std::optional<uint64_t> peak_memory(const std::string& model, const Arguments& arguments) {
  const std::string batch = std::to_string(arguments.batch);
  const std::vector<std::string>& program = program_command();
  std::vector<const char*> command;
  for (const std::string& word : program) command.push_back(word.c_str());
  command.insert(command.end(), {"bench", model.c_str(), "--batch", batch.c_str(), "--once"});
  for (const std::string& shape : arguments.shapes)
    command.insert(command.end(), {"--shape", shape.c_str()});
  for (const std::string& state : arguments.carry)
    command.insert(command.end(), {"--carry", state.c_str()});
  command.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int failed = posix_spawn(&child, program.front().c_str(), &actions, nullptr,
                                 const_cast<char**>(command.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char text[32] = {};
  const bool told = failed == 0 && read(ends[0], text, sizeof(text) - 1) > 0;
  close(ends[0]);
  int status = 0;
  if (failed != 0 || waitpid(child, &status, 0) != child || status != 0 || !told)
    return std::nullopt;
  return std::stoull(text);
}

// What the child process does for peak_memory().
int run_once(const Arguments& arguments) {
  std::vector<Graph> graphs = {load_onnx(arguments.models.front())};
  settle_states(graphs, arguments.carry);
  bench(graphs, {.threads = {1},
                 .batch = arguments.batch,
                 .input_shapes = input_shapes(arguments.shapes),
                 .seconds = 0.001});
  tell("{}\n", peak_resident_bytes());
  return 0;
}

void print_text(const std::vector<BenchRow>& rows) {
  Table table({{"model"},
               {"threads", Align::right},
               {"batch", Align::right},
               {"median", Align::right},
               {"p95", Align::right},
               {"samples/s", Align::right},
               {"speed", Align::right},
               {"peak memory", Align::right},
               {"file", Align::right}});
  for (const BenchRow& row : rows) {
    for (size_t i = 0; i < row.latencies.size(); ++i) {
      const Latency& latency = row.latencies[i];
      table.add_row({row.model, std::to_string(latency.threads), std::to_string(latency.batch),
                     format_duration(latency.median_s), format_duration(latency.p95_s),
                     format_count(static_cast<uint64_t>(latency.samples_per_second)),
                     fmt::format("{:.2f}x", rows.front().latencies[i].median_s / latency.median_s),
                     row.memory ? format_bytes(*row.memory) : "?",
                     row.file_bytes ? format_bytes(*row.file_bytes) : "?"});
    }
  }
  tell("{}speed: ratio of medians to the first model at the same thread count, runs interleaved\n",
       table.to_string(output_columns()));
  for (const BenchRow& row : rows) {
    if (!row.why_not_faster) continue;
    tell("{} is not faster than {}: {}. `nibble profile {}` has all of it.\n", row.model,
         rows.front().model, *row.why_not_faster, row.model);
  }
}

int run(const Arguments& arguments) {
  std::vector<Graph> graphs;
  for (const std::string& path : arguments.models) graphs.push_back(load_model(path));
  const std::map<std::string, Shape> shapes = input_shapes(arguments.shapes);
  check_shapes(shapes, graphs);
  settle_states(graphs, arguments.carry);
  ProgressBar progress;
  const auto latencies = bench(graphs, {.threads = arguments.threads,
                                        .batch = arguments.batch,
                                        .input_shapes = shapes,
                                        .seconds = arguments.seconds,
                                        .seed = arguments.seed,
                                        .progress = &progress});
  std::vector<BenchRow> rows;
  for (size_t i = 0; i < graphs.size(); ++i) {
    const double speed = latencies[0][0].median_s / latencies[i][0].median_s;
    rows.push_back({.model = arguments.models[i],
                    .file_bytes = size_of_model(arguments.models[i]),
                    .memory = peak_memory(arguments.models[i], arguments),
                    .latencies = latencies[i],
                    .why_not_faster = why_not_faster(graphs[0], graphs[i], speed,
                                                     {.threads = arguments.threads[0],
                                                      .batch = arguments.batch,
                                                      .input_shapes = shapes,
                                                      .seed = arguments.seed,
                                                      .progress = &progress})});
  }
  progress.clear();
  present("bench", bench_json(rows), {.json = arguments.json, .seed = arguments.seed},
          [&] { print_text(rows); });
  return 0;
}

}  // namespace

std::function<int()> declare_bench(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto once = std::make_shared<bool>(false);
  app.add_option("MODEL", arguments->models, "ONNX models; speeds are relative to the first")
      ->type_name("FILE")
      ->required();
  add_numbers(app,
              {.flag = "--threads",
               .help = "Thread counts to measure (0: one per core); default 1",
               .least = 0,
               .most = 1024},
              arguments->threads);
  add_option(app, {.flag = "--batch", .help = "Samples per run", .least = 1}, arguments->batch);
  declare_shapes(app, arguments->shapes);
  declare_carry(app, arguments->carry);
  add_option(app, {.flag = "--seconds", .help = "Time per model and thread count", .above = 0},
             arguments->seconds);
  add_option(app, {.flag = "--seed", .help = "Seed of the random inputs", .least = 0},
             arguments->seed);
  add_option(app, kJsonOption, arguments->json);
  declare_run_folder(app);
  app.add_flag("--once", *once, "One run and nothing else: what peak memory is measured on")
      ->group("");
  return [arguments, once] { return *once ? run_once(*arguments) : run(*arguments); };
}

}  // namespace nibble::cli
