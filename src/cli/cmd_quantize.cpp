// nibble quantize: analyze, choose bits where asked to, quantize, write.
#include <fmt/format.h>

#include <map>
#include <optional>

#include "base/check.h"
#include "base/file.h"
#include "cli/costs_output.h"
#include "cli/quantize_arguments.h"
#include "cli/report_steps.h"
#include "nibble/onnx.h"
#include "onnx/model_size.h"
#include "report/format.h"
#include "verbs/json.h"
#include "verbs/ladder.h"

namespace nibble::cli {
namespace {

constexpr int kGoalMissed = 4;  // exit code

struct Arguments {
  std::string model;
  std::string output;
  bool force = false;
  std::string report;
  std::string front;
  std::string ranges;
  DataArguments data;
  QuantizeArguments quantization;
  OptionFlags<Goal> goal;
  CommonOptions common;
};

// What there is to write, and how it came about where there was a goal.
struct Outcome {
  Quantized quantized;
  std::optional<Ladder> ladder;  // without its result
};

// "5.52 KB -> 2.01 KB, 2.75 times smaller". The model's own size is not known if it came from a
// pipe.
std::string size_change(std::optional<uint64_t> before, uint64_t after) {
  if (!before) return format_bytes(after);
  const double ratio = static_cast<double>(*before) / static_cast<double>(after);
  const std::string sizes = fmt::format("{} -> {}", format_bytes(*before), format_bytes(after));
  if (after > *before)
    return fmt::format("{}: the file grew, {:.2f} times larger", sizes, 1 / ratio);
  return fmt::format("{}, {:.2f} times smaller", sizes, ratio);
}

// "8 bits", "3 of 4 bits, 2 of 8 bits": what layers got.
std::string bits_text(const QuantizeReport& report, int LayerBits::*member) {
  std::map<int, int> layers;
  for (const auto& [node, bits] : report.layers) ++layers[bits.*member];
  const auto name = [](int bits) { return bits == 0 ? "float" : fmt::format("{} bits", bits); };
  if (layers.size() == 1) return name(layers.begin()->first);
  std::string text;
  for (const auto& [bits, count] : layers) {
    text += fmt::format("{}{} of {}", text.empty() ? "" : ", ", count, name(bits));
  }
  return text.empty() ? "none" : text;
}

// Nodes of one operator that stay in float for one reason share a line.
void print_left_in_float(const QuantizeReport& report) {
  constexpr size_t kShown = 3;
  struct Group {
    std::vector<std::string> nodes;  // the first ones
    size_t count = 0;
    int64_t parameters = 0;
  };
  std::map<std::pair<std::string, std::string>, Group> groups;
  for (const auto& skipped : report.why_not) {
    Group& group = groups[{skipped.op, skipped.reason}];
    if (group.nodes.size() < kShown) group.nodes.push_back(skipped.node);
    ++group.count;
    group.parameters += skipped.parameters;
  }
  if (!groups.empty()) tell("Left in float:\n");
  for (const auto& [key, group] : groups) {
    const auto more = group.count - group.nodes.size();
    tell("  {} {} ({} parameters): {}{}: {}\n", group.count, key.first,
         format_count(static_cast<uint64_t>(group.parameters)), fmt::join(group.nodes, ", "),
         more > 0 ? fmt::format(" and {} more", more) : "", key.second);
  }
}

Json quantization_json(const Arguments& arguments, const Quantized& result,
                       std::optional<uint64_t> before, uint64_t after) {
  Json json = {{"model", arguments.model},
               {"output", arguments.output},
               {"bytes_before", before ? Json(*before) : Json()},
               {"bytes_after", after}};
  json.update(to_json(result));
  return json;
}

void print_summary(const Arguments& arguments, const Quantized& result,
                   std::optional<uint64_t> before, uint64_t after) {
  tell("{}: {}\n", arguments.output, size_change(before, after));
  tell("{} {} quantized (weights: {}; activations: {}), {}.\n", result.report.quantized_layers,
       result.report.quantized_layers == 1 ? "layer" : "layers",
       bits_text(result.report, &LayerBits::weight_bits),
       bits_text(result.report, &LayerBits::activation_bits),
       result.ranges.samples > 0 ? fmt::format("calibrated on {} samples", result.ranges.samples)
                                 : "without data");
  for (const auto& [node, bits] : result.plan.layers) {
    const auto got = result.report.layers.find(node);
    if (got == result.report.layers.end()) continue;
    const int data = got->second.activation_bits;
    tell("  {}: weights {} bits, activations {}\n", node, got->second.weight_bits,
         data == 0 ? "in float" : fmt::format("{} bits", data));
  }
  print_left_in_float(result.report);
  for (const auto* notes : {&result.ranges.notes, &result.report.notes}) {
    for (const std::string& note : *notes) tell("{}.\n", note);
  }
}

// The page of the quantization, and of what else can be measured.
void report_on(const Arguments& arguments, const Quantized& result, ProgressBar& progress) {
  if (result.ranges.samples > 0) {
    run_record().add("analyze", ranges_json(result.ranges, result.float_graph), arguments.common);
  }
  const std::vector<std::string> left_out = measure_for_report(
      arguments.model, arguments.output, arguments.data, arguments.common, progress);
  progress.clear();
  write_report(arguments.report);
  if (arguments.common.json) return;
  for (const std::string& sentence : left_out) tell("{}.\n", sentence);
  tell("{}: what came out, layer by layer\n", arguments.report);
}

Outcome make(const Arguments& arguments, const Graph& model, const QuantizeSettings& settings,
             ProgressBar& progress) {
  Goal goal;
  arguments.goal.apply(goal);
  const std::optional<RangeReport> ranges = read_ranges(arguments.ranges);
  if (ranges && goal.given()) {
    fail(ErrorCode::invalid_argument,
         "--ranges says what the samples showed; a goal divides them into some that calibrate and "
         "others that decide: leave one out");
  }
  const SampleSource data = arguments.data.source();
  const RunSettings run = arguments.common.settings(&progress);
  check_goal(goal);
  if (!goal.given())
    return {.quantized = quantize_model(model, data, settings, run, ranges ? &*ranges : nullptr),
            .ladder = {}};
  Ladder ladder = climb(model, data, settings, goal, run, [&](const std::string& sentence) {
    progress.clear();
    if (!arguments.common.json) tell("{}.\n", sentence);
  });
  Quantized quantized = std::move(ladder.result);
  return {.quantized = std::move(quantized), .ladder = std::move(ladder)};
}

void print_ladder(const Ladder& ladder) {
  const Rung& chosen = ladder.rungs[ladder.chosen];
  tell("{}: {}, {:.2f} bits for a weight on average.\n", ladder.met ? "Chosen" : "Nearest",
       chosen.setting, chosen.weight_bits);
  if (ladder.report) {
    tell("On {} samples that decided nothing: {}.\n", ladder.report->samples,
         verdict_text(*ladder.report));
  }
}

// "1.85 [1.84, 1.87] ms".
std::string time_text(const ChosenLatency& latency) {
  return fmt::format("{:.4g} [{:.4g}, {:.4g}] ms", 1e3 * latency.median_s, 1e3 * latency.low_s,
                     1e3 * latency.high_s);
}

void print_choice(const BitChoice& choice) {
  if (const auto& latency = choice.latency) {
    tell(
        "Latency: {} measured (median of {} runs, 95 %), {:.4g} ms predicted, {:.4g} ms allowed; "
        "{}; {} networks were timed.\n",
        time_text(*latency), latency->runs, 1e3 * latency->predicted_s, 1e3 * latency->budget_s,
        latency->conditions, latency->networks);
  }
  if (const auto& operations = choice.point.bit_operations) {
    tell("Bit operations: {}; {:.2f} bits for a weight on average.\n",
         format_count(static_cast<uint64_t>(*operations)), choice.average_weight_bits);
  }
}

void check_front(const Arguments& arguments, const QuantizeSettings& settings) {
  if (arguments.front.empty()) return;
  check_output_file(arguments.front);
  if (has_budget(settings)) return;
  fail(ErrorCode::invalid_argument,
       "--front {}: there is a front where bits are chosen for a budget: give --average-bits, "
       "--max-size, --max-bops or --max-latency",
       arguments.front);
}

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  if (!arguments.report.empty()) {
    check_output_file(arguments.report);
    run_record().keep();
  }
  const QuantizeSettings settings = arguments.quantization.resolve();
  check_front(arguments, settings);
  const Graph model = load_model(arguments.model);
  const std::optional<uint64_t> before = size_of_model(arguments.model);
  ProgressBar progress;
  const Outcome outcome = with_context([&] { return "quantizing " + arguments.model; },
                                       [&] { return make(arguments, model, settings, progress); });
  const Quantized& result = outcome.quantized;
  if (!arguments.force) require_quantized(result);
  const bool missed = outcome.ladder && !outcome.ladder->met;
  if (missed && !arguments.force) {
    progress.clear();
    if (arguments.common.json) {
      present("quantize", {{"model", arguments.model}, {"ladder", to_json(*outcome.ladder)}},
              arguments.common, [] {});
    } else {
      print_costs(outcome.ladder->costs, kExplained);
    }
    fmt::print(stderr, "nibble: {}: {}. Nothing was written; --force writes it\n", arguments.model,
               missed_text(*outcome.ladder));
    return kGoalMissed;
  }
  const uint64_t after =
      save_model(result.graph, arguments.output, find_target(settings.options.target));
  if (!arguments.front.empty()) {
    write_file(arguments.front, to_json(*result.choice).dump(2) + "\n");
  }
  progress.clear();
  Json json = quantization_json(arguments, result, before, after);
  if (outcome.ladder) json["ladder"] = to_json(*outcome.ladder);
  present("quantize", json, arguments.common, [&] {
    if (outcome.ladder) print_ladder(*outcome.ladder);
    if (result.choice) print_choice(*result.choice);
    print_summary(arguments, result, before, after);
  });
  if (!arguments.report.empty()) report_on(arguments, result, progress);
  if (missed) fmt::print(stderr, "nibble: {}: {}\n", arguments.model, missed_text(*outcome.ladder));
  return missed ? kGoalMissed : 0;
}

}  // namespace

std::function<int()> declare_quantize(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Float ONNX model")->type_name("FILE")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")
      ->type_name("FILE")
      ->required();
  arguments->data.declare(app);
  arguments->quantization.declare(app);
  arguments->goal.declare(app, goal_option_rows(), "Goal", nullptr);
  add_option(
      app,
      {.flag = "--force",
       .help = "Write the file even if nothing could be quantized, or nothing keeps to the goal"},
      arguments->force);
  app.add_option(
         "--report", arguments->report,
         "Measure the result too, and make an HTML page of it: accuracy, latency, each layer")
      ->type_name("FILE");
  add_ranges_option(app, arguments->ranges);
  app.add_option("--front", arguments->front,
                 "With a budget: write what other budgets would give, the Pareto front of its unit "
                 "and noise, as JSON")
      ->type_name("FILE");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
