// The verbs: each takes models, a source of samples and settings, and gives models and what --json
// would print.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "convert.h"
#include "model.h"
#include "module.h"
#include "nibble/evaluate.h"
#include "options.h"
#include "progress.h"
#include "results.h"
#include "verbs/explain.h"
#include "verbs/inspect.h"
#include "verbs/job.h"
#include "verbs/json.h"
#include "verbs/judge.h"
#include "verbs/ladder.h"
#include "verbs/profile.h"
#include "verbs/quantize.h"
#include "verbs/session.h"
#include "verbs/train.h"

namespace nibble::python {
namespace {

// In the order in which Python gives them.
struct Run {
  int threads = 0;
  uint64_t seed = 0;
  nb::object progress;
  RunSettings alone(Progress& sink) const { return {threads, seed, &sink}; }
  /// For what the ranks of a job do together.
  RunSettings settings(Progress& sink) const {
    return {.threads = threads, .seed = seed, .progress = &sink, .ranks = join_job()};
  }
};

nb::object trained(Trained result) {
  nb::object json = to_python(to_json(result));
  return nb::make_tuple(make_model(std::move(result.graph)), json);
}

nb::object quantize(const Model& model, const SampleSource& source, const std::string& options,
                    const std::string& goal_options, const Ranges* ranges, bool force,
                    const Run& run) {
  const QuantizeSettings settings = quantize_settings(options);
  const Goal goal = goal_of(goal_options);
  std::optional<Ladder> ladder;
  Quantized result = run_released(run.progress, [&](Progress& progress) {
    if (goal.given()) {
      ladder = climb(*model.graph, source, settings, goal, run.settings(progress));
      if (!ladder->met && !force) throw Error(ErrorCode::unsupported, missed_text(*ladder));
      return std::move(ladder->result);
    }
    Quantized made = quantize_model(*model.graph, source, settings, run.settings(progress),
                                    ranges == nullptr ? nullptr : ranges->report.get());
    if (!force) require_quantized(made);
    return made;
  });
  Json json = to_json(result);
  if (ladder) json["ladder"] = to_json(*ladder);
  return nb::make_tuple(make_model(std::move(result.graph)), to_python(json), result.target);
}

Ranges analyze(const Model& model, const SampleSource& source, int64_t samples, const Run& run) {
  return {std::make_shared<const RangeReport>(run_released(run.progress, [&](Progress& progress) {
    return analyze_model(*model.graph, source, samples, run.settings(progress));
  }))};
}

nb::object choose_bits(const Model& model, const SampleSource& source, const std::string& options,
                       const Run& run) {
  const QuantizeSettings settings = quantize_settings(options);
  const ChosenBits chosen = run_released(run.progress, [&](Progress& progress) {
    return choose_model_bits(*model.graph, source, settings, run.settings(progress));
  });
  return to_python(to_json(chosen.choice));
}

nb::object train(const std::string& architecture, const SampleSource& source,
                 const std::string& options, const Run& run) {
  const TrainChoices choices = train_choices(options);
  return trained(run_released(run.progress, [&](Progress& progress) {
    return Trained{train_architecture(architecture, source, choices, run.settings(progress))};
  }));
}

nb::object qat(const Model& model, const SampleSource& source, const std::string& quantization,
               const std::string& options, const Run& run) {
  const QuantizeSettings settings = quantize_settings(quantization);
  const TrainChoices choices = train_choices(options);
  return trained(run_released(run.progress, [&](Progress& progress) {
    return train_with_quantization(*model.graph, source, settings, choices, run.settings(progress));
  }));
}

nb::object finetune(const Model& model, const std::string& name, const std::string& target,
                    const Model* teacher, const SampleSource& source, const std::string& options,
                    const Run& run) {
  const TrainChoices choices = train_choices(options);
  return trained(run_released(run.progress, [&](Progress& progress) {
    Finetuning start{.model = *model.graph,
                     .name = name,
                     .target = find_target(target),
                     .teacher = std::nullopt};
    if (teacher != nullptr) start.teacher = *teacher->graph;
    return finetune_model(std::move(start), source, choices, run.settings(progress));
  }));
}

std::vector<Subject> subjects_of(const std::vector<const Model*>& models,
                                 const std::vector<std::string>& names) {
  std::vector<Subject> subjects;
  for (size_t i = 0; i < models.size(); ++i) {
    subjects.push_back({.name = names[i], .graph = *models[i]->graph, .data = nullptr});
  }
  return subjects;
}

// Per sample, by model: 1 where it is right, or what the metric says.
nb::object per_sample(const Judgement& judgement) {
  nb::list all;
  for (const Evaluation& one : judgement.accuracies) {
    const auto count = static_cast<int64_t>(one.right.size());
    all.append(nb::make_tuple(to_numpy(Tensor::of<uint8_t>({count}, one.right), true),
                              to_numpy(Tensor::of<int32_t>({count}, one.predicted), true)));
  }
  return all;
}

// A function of Python's: function(outputs, label, targets), with lists of arrays; label -1: none.
// Without the GIL it is kept by a reference that is the caller's.
ScoreFunction score_function(const nb::object& function, const std::string& name) {
  return {.name = name,
          .of = [function = nb::handle(function)](std::span<const Tensor> outputs,
                                                  const Dataset& data, int64_t sample) {
            const int64_t label = data.classes() > 0 ? data.label(sample) : -1;
            const std::vector<Tensor> answers = data.targets(sample);
            const nb::gil_scoped_acquire lock;
            nb::list arrays, targets;
            for (const Tensor& output : outputs) arrays.append(to_numpy(output.clone(), true));
            for (const Tensor& answer : answers) targets.append(to_numpy(answer.clone(), true));
            return nb::cast<double>(function(arrays, label, targets));
          }};
}

nb::object evaluate(const std::vector<const Model*>& models, const std::vector<std::string>& names,
                    const SampleSource& source, const nb::dict& options, const nb::object& function,
                    const Run& run) {
  const auto text = [&](const char* key) { return nb::cast<std::string>(options[key]); };
  JudgeSettings settings{.split = split_named(text("split")),
                         .samples = nb::cast<int64_t>(options["samples"]),
                         .predictions = false,
                         .program = text("score"),
                         .measure = {}};
  settings.measure.metric = text("metric");
  settings.measure.output = text("output");
  settings.measure.threshold = nb::cast<std::optional<float>>(options["threshold"]);
  settings.measure.arithmetic = arithmetic_named(text("arithmetic"));
  settings.measure.batch = nb::cast<int>(options["batch"]);
  if (!function.is_none()) settings.function = score_function(function, text("function_name"));
  settings.measure.resamples = nb::cast<int>(options["resamples"]);
  const Judgement judgement = run_released(run.progress, [&](Progress& progress) {
    std::vector<Subject> subjects = subjects_of(models, names);
    return judge_models(subjects, source, settings, run.settings(progress));
  });
  return nb::make_tuple(to_python(to_json(judgement, names)), per_sample(judgement));
}

nb::object compare(const Model& reference, const Model& other,
                   const std::vector<std::string>& names, const SampleSource& source,
                   int64_t samples, const std::string& arithmetic, bool with_remedies,
                   const Run& run) {
  const Arithmetic chosen = arithmetic_named(arithmetic);
  const nlohmann::ordered_json json = run_released(run.progress, [&](Progress& progress) {
    const RunSettings settings = run.alone(progress);
    const Comparison comparison =
        compare_models({.name = names[0], .graph = *reference.graph, .data = nullptr},
                       {.name = names[1], .graph = *other.graph, .data = nullptr}, source, samples,
                       settings, chosen);
    nlohmann::ordered_json told = to_json(comparison, names);
    if (with_remedies) {
      told["explanation"] = to_json(
          explain(*other.graph, *reference.graph, comparison.costs, source, samples, settings),
          names);
    }
    return told;
  });
  return to_python(json);
}

nb::object bench_models(const std::vector<const Model*>& models, const std::vector<int>& threads,
                        int64_t batch, const nb::dict& shapes, double seconds, const Run& run) {
  BenchOptions options{.threads = threads, .batch = batch, .seconds = seconds, .seed = run.seed};
  for (const auto& [name, extents] : shapes) {
    options.input_shapes[nb::cast<std::string>(name)] =
        Shape(nb::cast<std::vector<int64_t>>(extents));
  }
  std::vector<std::optional<std::string>> reasons;
  const auto latencies = run_released(run.progress, [&](Progress& progress) {
    std::vector<Graph> graphs;
    for (const Model* model : models) graphs.push_back(*model->graph);
    options.progress = &progress;
    auto measured = bench(graphs, options);
    for (size_t i = 0; i < graphs.size() && !threads.empty(); ++i) {
      const double speed = measured[0][0].median_s / measured[i][0].median_s;
      reasons.push_back(why_not_faster(graphs[0], graphs[i], speed,
                                       {.threads = threads[0],
                                        .batch = batch,
                                        .input_shapes = options.input_shapes,
                                        .seed = run.seed,
                                        .progress = &progress}));
    }
    return measured;
  });
  Json all = Json::array();
  for (const auto& of_model : latencies) {
    Json list = Json::array();
    for (const Latency& latency : of_model) {
      list.push_back(to_json(latency));
      list.back()["memory_bytes"] = latency.memory_bytes;
    }
    all.push_back(std::move(list));
  }
  return nb::make_tuple(to_python(all), nb::cast(reasons));
}

nb::object profile_model(const Model& model, const std::string& name, int threads, int64_t batch,
                         const nb::dict& shapes, int runs, const Run& run) {
  ProfileOptions options{.threads = threads, .batch = batch, .runs = runs, .seed = run.seed};
  for (const auto& [input, extents] : shapes) {
    options.input_shapes[nb::cast<std::string>(input)] =
        Shape(nb::cast<std::vector<int64_t>>(extents));
  }
  const NetworkProfile measured = run_released(run.progress, [&](Progress& progress) {
    options.progress = &progress;
    return profile(*model.graph, options);
  });
  return nb::make_tuple(to_python(to_json(measured)), to_python(trace_json(measured, name)));
}

}  // namespace

void define_verbs(nb::module_& module) {
  using nb::arg;
  nb::class_<Run>(module, "Run")
      .def(
          "__init__",
          [](Run* self, int threads, uint64_t seed, nb::object progress) {
            new (self) Run{threads, seed, std::move(progress)};
          },
          arg("threads"), arg("seed"), arg("progress").none());
  module.def("quantize", quantize, arg("model"), arg("source"), arg("options"), arg("goal"),
             arg("ranges").none(), arg("force"), arg("run"));
  module.def("analyze", analyze, arg("model"), arg("source"), arg("samples"), arg("run"));
  module.def("choose_bits", choose_bits, arg("model"), arg("source"), arg("options"), arg("run"));
  module.def("train", train, arg("architecture"), arg("source"), arg("options"), arg("run"));
  module.def("qat", qat, arg("model"), arg("source"), arg("quantization"), arg("options"),
             arg("run"));
  module.def("finetune", finetune, arg("model"), arg("name"), arg("target"), arg("teacher").none(),
             arg("source"), arg("options"), arg("run"));
  module.def("evaluate", evaluate, arg("models"), arg("names"), arg("source"), arg("options"),
             arg("function").none(), arg("run"));
  module.def("compare", compare, arg("reference"), arg("other"), arg("names"), arg("source"),
             arg("samples"), arg("arithmetic"), arg("explain"), arg("run"));
  module.def("bench", bench_models, arg("models"), arg("threads"), arg("batch"), arg("shapes"),
             arg("seconds"), arg("run"));
  module.def("profile", profile_model, arg("model"), arg("name"), arg("threads"), arg("batch"),
             arg("shapes"), arg("runs"), arg("run"));
  module.def(
      "ops", [](const std::string& name) { return to_python(to_json(find_operators(name))); },
      arg("name"));
}

}  // namespace nibble::python
