// nibble provenance: how a model came about, as its file tells it.
#include "base/check.h"
#include "cli/command.h"
#include "verbs/provenance.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  CommonOptions common;
};

// "weights 4, rounding gptq"; of an object of objects "conv1: weights 8".
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_array()) {
    std::string text;
    for (const Json& one : value) text += (text.empty() ? "" : ",") + text_of(one);
    return text;
  }
  if (!value.is_object()) return value.dump();
  std::string text;
  for (const auto& [key, one] : value.items()) {
    if (key == "layers") continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, text_of(one));
  }
  return text.empty() ? "the usual ones" : text;
}

std::string score_text(const Json& score) {
  const std::string unit = score.value("metric", "");
  std::string text = fmt::format("{} {:.6g} on {} samples", unit, score.value("value", 0.0),
                                 score.value("samples", int64_t{0}));
  if (score.contains("change") && score.contains("interval") && score["interval"].size() == 2) {
    text += fmt::format(", {:+.4g} [{:+.4g}, {:+.4g}] against the float model",
                        score.value("change", 0.0), score["interval"][0].get<double>(),
                        score["interval"][1].get<double>());
  }
  return text;
}

void print_step(const Json& step) {
  tell("{} by Nibble {}, seed {}\n", step.value("verb", ""), step.value("version", "?"),
       step.value("seed", uint64_t{0}));
  if (step.contains("model")) tell("  model    {}\n", text_of(step["model"]));
  if (step.contains("data")) {
    tell("  data     {}, {} samples\n", text_of(step["data"]), step.value("samples", int64_t{0}));
  }
  const Json options = step.value("options", Json::object());
  tell("  options  {}\n", text_of(options));
  if (options.contains("layers")) {
    for (const auto& [layer, bits] : options["layers"].items()) {
      tell("    {}: {}\n", layer, text_of(bits));
    }
  }
  if (!step.contains("scores")) return;
  for (const Json& score : step["scores"]) tell("  score    {}\n", score_text(score));
}

int run(const Arguments& arguments) {
  const Graph graph = load_model(arguments.model);
  const std::optional<Json> provenance =
      with_context([&] { return arguments.model; }, [&] { return provenance_of(graph); });
  if (!provenance) {
    fail(ErrorCode::invalid_model,
         "{} does not say how it was made: Nibble writes that into the models that it quantizes",
         arguments.model);
  }
  present("provenance", *provenance, arguments.common, [&] {
    for (const Json& step : (*provenance)["steps"]) print_step(step);
  });
  return 0;
}

}  // namespace

std::function<int()> declare_provenance(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model that Nibble quantized")
      ->type_name("FILE")
      ->required();
  arguments->common.declare(app, false);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
