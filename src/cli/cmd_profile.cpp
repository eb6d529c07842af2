// nibble profile: where the time of an inference goes, step by step.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/file.h"
#include "cli/command.h"
#include "nibble/profile.h"
#include "report/format.h"
#include "report/table.h"
#include "verbs/profile.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  int threads = 1;
  int64_t batch = 1;
  std::vector<std::string> shapes;
  std::vector<std::string> carry;
  int runs = 0;
  int64_t top = 0;
  std::string trace;
  bool json = false;
  uint64_t seed = 0;
};

std::string rate(const std::optional<double>& per_second) {
  return per_second ? fmt::format("{:.3g}", *per_second / 1e9) : "";
}
std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "";
}
std::string count(int64_t number) {
  return number == 0 ? "" : format_count(static_cast<uint64_t>(number));
}
std::string_view s(size_t number) { return number == 1 ? "" : "s"; }

// The operators' own code has no name besides theirs.
std::string kernel_of(const StepProfile& step) {
  return step.kernel == "eval" ? "plain loops" : step.kernel;
}

std::string moved(const StepProfile& step) {
  if (!step.read_bytes) return step.kind == StepKind::control ? "" : "?";
  return format_bytes(*step.weight_bytes + *step.read_bytes + *step.written_bytes);
}

// In execution order; with --top, the costliest alone.
std::vector<const ProfiledStep*> listed(const NetworkProfile& profile, int64_t top) {
  std::vector<const ProfiledStep*> steps;
  for (const ProfiledStep& step : profile.steps) steps.push_back(&step);
  if (top == 0 || std::ssize(steps) <= top) return steps;
  std::vector<const ProfiledStep*> order = steps;
  std::ranges::stable_sort(order, std::greater<>(), &ProfiledStep::median_s);
  order.resize(static_cast<size_t>(top));
  std::erase_if(steps, [&](const ProfiledStep* step) { return !std::ranges::count(order, step); });
  return steps;
}

void print_steps(const NetworkProfile& profile, int64_t top) {
  Table table({{"step"},
               {"operator"},
               {"kernel"},
               {"time", Align::right},
               {"share", Align::right},
               {"MACs", Align::right},
               {"GOP/s", Align::right},
               {"of peak", Align::right},
               {"moved", Align::right},
               {"GB/s", Align::right}});
  const std::vector<const ProfiledStep*> steps = listed(profile, top);
  double rest = 0;
  for (const ProfiledStep& step : profile.steps) {
    if (!std::ranges::count(steps, &step)) rest += step.median_s;
  }
  for (const ProfiledStep* step : steps) {
    table.add_row({step->step.node, step->step.op, kernel_of(step->step),
                   format_duration(step->median_s), percent(step->share), count(step->step.macs),
                   rate(step->operations), percent(step->of_peak), moved(step->step),
                   rate(step->bytes)});
  }
  tell("{}", table.to_string(output_columns()));
  if (const size_t left = profile.steps.size() - steps.size()) {
    tell("{} more step{} take{} {}, {:.1f} % of the time.\n", left, s(left), left == 1 ? "s" : "",
         format_duration(rest), 100 * rest / profile.steps_s);
  }
}

void print_kinds(const NetworkProfile& profile) {
  Table table({{"kind"},
               {"steps", Align::right},
               {"time", Align::right},
               {"share", Align::right},
               {"MACs", Align::right},
               {"GOP/s", Align::right},
               {"of peak", Align::right}});
  for (const KindTotal& total : totals_by_kind(profile)) {
    table.add_row({label_of(total.kind, total.arithmetic), std::to_string(total.steps),
                   format_duration(total.seconds), percent(total.share), count(total.macs),
                   rate(total.operations), percent(total.of_peak)});
  }
  tell("\n{}", table.to_string(output_columns()));
}

// Steps in float for the same reason, the costliest first.
struct FloatSteps {
  const ProfiledStep* first = nullptr;
  std::vector<std::string> names;
  double share = 0;
};

std::vector<FloatSteps> by_reason(const NetworkProfile& profile) {
  std::vector<FloatSteps> groups;
  for (const ProfiledStep& step : profile.steps) {
    if (!step.is_float()) continue;
    auto at = std::ranges::find_if(groups, [&](const FloatSteps& group) {
      return group.first->why_float == step.why_float && group.first->remedy == step.remedy;
    });
    if (at == groups.end()) at = groups.insert(at, FloatSteps{.first = &step});
    at->names.push_back(fmt::format("{} ({})", step.step.node, step.step.op));
    at->share += step.share;
  }
  std::ranges::stable_sort(groups, std::greater<>(), &FloatSteps::share);
  return groups;
}

std::string names_text(const std::vector<std::string>& names, size_t most) {
  const size_t named = std::min(most, names.size());
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<int>(named), ", "));
  if (named < names.size()) text += fmt::format(" and {} more", names.size() - named);
  return text;
}

void print_reasons(const NetworkProfile& profile) {
  constexpr size_t kNamed = 3;
  constexpr double kWorthSaying = 0.01;  // of the time
  const std::vector<FloatSteps> groups = by_reason(profile);
  if (groups.empty()) return;
  double share = 0;
  size_t steps = 0;
  for (const FloatSteps& group : groups) {
    share += group.share;
    steps += group.names.size();
  }
  tell("\nIn float: {} step{}, {:.1f} % of the time. Why, and what would make integers of them:\n",
       steps, s(steps), 100 * share);
  FloatSteps others;
  for (const FloatSteps& group : groups) {
    if (group.share < kWorthSaying && groups.size() > 1) {
      others.names.insert(others.names.end(), group.names.begin(), group.names.end());
      others.share += group.share;
      continue;
    }
    tell("  {:4.1f} %  {}\n          why: {}\n          what helps: {}\n", 100 * group.share,
         names_text(group.names, kNamed), group.first->why_float, group.first->remedy);
  }
  if (others.names.empty()) return;
  tell("  {:4.1f} %  {}\n          for other reasons, which --json has\n", 100 * others.share,
       names_text(others.names, kNamed));
}

// The sum of medians is not the median of sums, and between steps there is time as well.
void print_sums(const NetworkProfile& profile) {
  constexpr double kMuch = 0.15;
  const double difference = profile.steps_s > 0 ? profile.whole_s / profile.steps_s - 1 : 0;
  tell(
      "\nThe steps add up to {}; a whole inference, timed without looking at steps, takes {}: "
      "{:.1f} % {}. Medians of {} runs of each, in turns, {} thread{}, batch {}.\n",
      format_duration(profile.steps_s), format_duration(profile.whole_s),
      std::abs(100 * difference), difference < 0 ? "less" : "more", profile.runs, profile.threads,
      s(static_cast<size_t>(profile.threads)), profile.batch);
  if (std::abs(difference) < kMuch) return;
  if (profile.whole_s < (1 + kMuch) * profile.fastest_s) {
    tell("That is what lies between the steps: looking at the inputs, going from step to step.\n");
    return;
  }
  tell(
      "They should differ by a few percent: other work interrupted most of the runs, the fastest "
      "of which took {}. Shares can be trusted, times had better be measured on an idle machine.\n",
      format_duration(profile.fastest_s));
}

void print_peak(const NetworkProfile& profile) {
  const MachinePeak& peak = profile.peak;
  if (peak.int8 > 0) {
    tell(
        "Peak of this machine with {} thread{}: {:.0f} GOP/s in int8, {:.0f} in int16, {:.0f} in "
        "float (loops of multiplications in registers, {}); a multiplication and its addition are "
        "two operations.\n",
        profile.threads, s(static_cast<size_t>(profile.threads)), peak.int8 / 1e9, peak.int16 / 1e9,
        peak.f32 / 1e9, name_of(best_isa()));
  }
  tell(
      "Moved: weights, data and results, each once, as they lie in memory; copies of as many bytes "
      "as the network holds run at {:.0f} GB/s.\n",
      peak.copy / 1e9);
}

void print_text(const NetworkProfile& profile, const Arguments& arguments) {
  if (profile.steps.empty()) {
    tell("{} has no steps: it gives its inputs under other shapes. An inference takes {}.\n",
         arguments.model, format_duration(profile.whole_s));
    return;
  }
  print_steps(profile, arguments.top);
  print_kinds(profile);
  print_reasons(profile);
  print_sums(profile);
  print_peak(profile);
  if (!arguments.trace.empty()) {
    tell(
        "The run that took the median time is in {}: open it in chrome://tracing or "
        "ui.perfetto.dev.\n",
        arguments.trace);
  }
}

int run(const Arguments& arguments) {
  if (!arguments.trace.empty()) check_output_file(arguments.trace);
  std::vector<Graph> graphs = {load_model(arguments.model)};
  const std::map<std::string, Shape> shapes = input_shapes(arguments.shapes);
  check_shapes(shapes, graphs);
  settle_states(graphs, arguments.carry);
  ProgressBar progress;
  const NetworkProfile measured =
      with_context([&] { return "profiling " + arguments.model; },
                   [&] {
                     return profile(graphs[0], {.threads = arguments.threads,
                                                .batch = arguments.batch,
                                                .input_shapes = shapes,
                                                .runs = arguments.runs,
                                                .seed = arguments.seed,
                                                .progress = &progress});
                   });
  progress.clear();
  if (!arguments.trace.empty()) {
    write_file(arguments.trace, trace_json(measured, arguments.model).dump() + "\n");
  }
  Json json = {{"model", arguments.model}};
  json.update(to_json(measured));
  present("profile", json,
          {.json = arguments.json, .threads = measured.threads, .seed = arguments.seed},
          [&] { print_text(measured, arguments); });
  return 0;
}

}  // namespace

std::function<int()> declare_profile(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model, quantized or not")
      ->type_name("FILE")
      ->required();
  add_option(app,
             {.flag = "--top", .help = "List the N costliest steps alone (0: all)", .least = 0},
             arguments->top);
  app.add_option("--trace", arguments->trace,
                 "Write one run as a trace for chrome://tracing or ui.perfetto.dev")
      ->type_name("FILE");
  add_option(
      app,
      {.flag = "--threads", .help = "Threads to use (0: one per core)", .least = 0, .most = 1024},
      arguments->threads);
  add_option(app,
             {.flag = "--runs",
              .help = "Runs that are timed (0: as many as take about a second)",
              .least = 0,
              .most = 1000000},
             arguments->runs);
  add_option(app, {.flag = "--batch", .help = "Samples per run", .least = 1}, arguments->batch);
  declare_shapes(app, arguments->shapes);
  declare_carry(app, arguments->carry);
  add_option(app, {.flag = "--seed", .help = "Seed of the random inputs", .least = 0},
             arguments->seed);
  add_option(app, kJsonOption, arguments->json);
  declare_run_folder(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
