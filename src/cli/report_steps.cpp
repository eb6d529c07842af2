#include "cli/report_steps.h"

#include "base/check.h"
#include "base/file.h"
#include "onnx/model_size.h"
#include "report/clipping.h"
#include "report/page/page.h"
#include "verbs/json.h"
#include "verbs/profile.h"

namespace nibble::cli {
namespace {

constexpr int64_t kLayerSamples = 64;
constexpr int64_t kSamples = 1000;
constexpr double kSeconds = 0.5;  // of each model's latency

// The float model and the quantized one, and what they are measured on.
struct Measuring {
  std::vector<std::string> names;
  const DataArguments& data;
  const CommonOptions& common;
  ProgressBar& progress;

  Subject subject(size_t i) const {
    return {.name = names[i], .graph = load_model(names[i]), .data = nullptr};
  }
  void layers() const {
    if (!data.given()) return;
    const Comparison comparison = compare_models(subject(0), subject(1), data.source(),
                                                 kLayerSamples, common.settings(&progress));
    Json json = to_json(comparison, names);
    json.erase("outputs");  // eval judges them, on more samples
    run_record().add("compare", json, common);
  }
  void outputs() const {
    if (!data.given()) return;
    std::vector<Subject> subjects = {subject(0), subject(1)};
    const Judgement judgement =
        judge_models(subjects, data.source(), {.samples = kSamples}, common.settings(&progress));
    Json json = {{"split", "test"}};
    json.update(to_json(judgement, names));
    run_record().add("eval", json, common);
  }
  void latency() const {
    const auto latencies =
        bench({load_model(names[0]), load_model(names[1])},
              {.threads = {1}, .seconds = kSeconds, .seed = common.seed, .progress = &progress});
    std::vector<BenchRow> rows;
    for (size_t i = 0; i < latencies.size(); ++i) {
      rows.push_back({.model = names[i],
                      .file_bytes = size_of_model(names[i]),
                      .memory = std::nullopt,
                      .latencies = latencies[i]});
    }
    run_record().add("bench", bench_json(rows), common);
  }
  void steps() const {
    Json json = {{"model", names[1]}};
    json.update(
        to_json(profile(load_model(names[1]), {.seed = common.seed, .progress = &progress})));
    run_record().add("profile", json, common);
  }
};

}  // namespace

Json ranges_json(const RangeReport& ranges, const Graph& graph) {
  static constexpr int kBits[] = {8, 4};
  Json json = Json::parse(to_json(ranges));
  for (size_t i = 0; i < ranges.tensors.size(); ++i) {
    Json clips = Json::array();
    for (const Clip& clip : clips_of(ranges.tensors[i], graph, kBits)) {
      clips.push_back({{"observer", clip.observer},
                       {"bits", clip.bits},
                       {"low", clip.low},
                       {"high", clip.high}});
    }
    json["tensors"][i]["clipping"] = std::move(clips);
  }
  return json;
}

Json bench_json(const std::vector<BenchRow>& rows) {
  Json models = Json::array();
  for (const BenchRow& row : rows) {
    Json entry = {{"model", row.model}};
    if (row.file_bytes) entry["file_bytes"] = *row.file_bytes;
    entry["latencies"] = Json::array();
    if (row.memory) entry["peak_memory_bytes"] = *row.memory;
    for (const Latency& latency : row.latencies) entry["latencies"].push_back(to_json(latency));
    if (row.why_not_faster) entry["why_not_faster"] = *row.why_not_faster;
    models.push_back(std::move(entry));
  }
  return {{"models", std::move(models)}};
}

std::vector<std::string> measure_for_report(const std::string& model, const std::string& output,
                                            const DataArguments& data, const CommonOptions& common,
                                            ProgressBar& progress) {
  const Measuring measuring{{model, output}, data, common, progress};
  std::vector<std::string> left_out;
  const auto attempt = [&](std::string_view what, void (Measuring::*step)() const) {
    run_record().begin_step();
    try {
      (measuring.*step)();
    } catch (const Error& error) {
      if (error.code() == ErrorCode::cancelled) throw;
      left_out.push_back(fmt::format("{} not measured: {}", what, error.what()));
    }
  };
  attempt("Layers were", &Measuring::layers);
  attempt("Outputs were", &Measuring::outputs);
  attempt("Latency was", &Measuring::latency);
  attempt("Steps were", &Measuring::steps);
  return left_out;
}

void write_report(const std::string& path) { write_file(path, report_page(run_record().steps())); }

}  // namespace nibble::cli
