// nibble bench: latency, throughput, peak memory and file size; models run in turns.
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <filesystem>

#include "base/check.h"
#include "cli/command.h"
#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "report/format.h"
#include "report/table.h"

extern char** environ;

namespace nibble::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  std::vector<int> threads = {1};
  int64_t batch = 1;
  double seconds = 1.0;
  bool json = false;
  uint64_t seed = 0;
};

// Peak resident memory of a fresh process that loads, compiles and runs the model once: measured
// inside this process, the models would be added up. None if the process could not be started.
std::optional<uint64_t> peak_memory(const std::string& model, int64_t batch) {
  const std::string batch_text = std::to_string(batch);
  const char* command[] = {"nibble",           "bench",  model.c_str(), "--batch",
                           batch_text.c_str(), "--once", nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(command),
                  environ) != 0) {
    return std::nullopt;
  }
  int status = 0;
  rusage usage{};
  if (wait4(child, &status, 0, &usage) != child || status != 0) return std::nullopt;
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// What the child process does for peak_memory().
int run_once(const Arguments& arguments) {
  bench({load_onnx(arguments.models.front())},
        {.threads = {1}, .batch = arguments.batch, .seconds = 0.001});
  return 0;
}

struct Row {
  std::string model;
  uint64_t file_bytes = 0;
  std::optional<uint64_t> memory;
  std::vector<Latency> latencies;
};

void print_text(const std::vector<Row>& rows) {
  Table table({{"model"},
               {"threads", Align::right},
               {"batch", Align::right},
               {"median", Align::right},
               {"p95", Align::right},
               {"samples/s", Align::right},
               {"speed", Align::right},
               {"peak memory", Align::right},
               {"file", Align::right}});
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.latencies.size(); ++i) {
      const Latency& latency = row.latencies[i];
      table.add_row({row.model, std::to_string(latency.threads), std::to_string(latency.batch),
                     format_duration(latency.median_s), format_duration(latency.p95_s),
                     fmt::format("{:.4g}", latency.samples_per_second),
                     fmt::format("{:.2f}x", rows.front().latencies[i].median_s / latency.median_s),
                     row.memory ? format_bytes(*row.memory) : "?", format_bytes(row.file_bytes)});
    }
  }
  fmt::print(
      "{}speed: ratio of medians to the first model at the same thread count, runs interleaved\n",
      table.to_string(output_columns()));
}

void print_json_rows(const std::vector<Row>& rows) {
  Json models = Json::array();
  for (const Row& row : rows) {
    Json entry = {
        {"model", row.model}, {"file_bytes", row.file_bytes}, {"latencies", Json::array()}};
    if (row.memory) entry["peak_memory_bytes"] = *row.memory;
    for (const Latency& latency : row.latencies) {
      entry["latencies"].push_back({{"threads", latency.threads},
                                    {"batch", latency.batch},
                                    {"runs", latency.runs},
                                    {"median_s", latency.median_s},
                                    {"p95_s", latency.p95_s},
                                    {"samples_per_second", latency.samples_per_second}});
    }
    models.push_back(std::move(entry));
  }
  print_json({{"models", std::move(models)}});
}

int run(const Arguments& arguments) {
  std::vector<Graph> graphs;
  for (const std::string& path : arguments.models) graphs.push_back(load_onnx(path));
  ProgressBar progress;
  const auto latencies = bench(graphs, {.threads = arguments.threads,
                                        .batch = arguments.batch,
                                        .seconds = arguments.seconds,
                                        .progress = &progress});
  std::vector<Row> rows;
  for (size_t i = 0; i < graphs.size(); ++i) {
    rows.push_back({.model = arguments.models[i],
                    .file_bytes = std::filesystem::file_size(arguments.models[i]),
                    .memory = peak_memory(arguments.models[i], arguments.batch),
                    .latencies = latencies[i]});
  }
  progress.clear();
  if (arguments.json) {
    print_json_rows(rows);
  } else {
    print_text(rows);
  }
  return 0;
}

}  // namespace

std::function<int()> declare_bench(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto once = std::make_shared<bool>(false);
  app.add_option("MODEL", arguments->models, "ONNX models; speeds are relative to the first")
      ->required();
  app.add_option("--threads", arguments->threads, "Thread counts to measure: 1,2; 0: one per core")
      ->delimiter(',')
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--batch", arguments->batch, "Samples per run")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seconds", arguments->seconds, "Time per model and thread count")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", arguments->seed, "Seed of the random inputs")->capture_default_str();
  app.add_flag("--json", arguments->json, "Print the result as JSON on stdout");
  app.add_flag("--once", *once, "One run and nothing else: what peak memory is measured on")
      ->group("");
  return [arguments, once] { return *once ? run_once(*arguments) : run(*arguments); };
}

}  // namespace nibble::cli
