// Every verb on a real, if untrained, network and the embedded digits.
#include <fstream>

#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/isa.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "nibble/train.h"
#include "nibble/version.h"

namespace nibble {
namespace {

class verbs : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    Graph graph = build_architecture("digits-cnn", {1, 8, 8}, 10, 1);
    store_preprocess(graph, {.color = Preprocess::Color::grey, .scale = 1.0F / 16.0F});
    save_onnx(graph, path("float.onnx"));
  }
  // The bits of all quantized weights in the file, and how many weights these are.
  static std::pair<double, int64_t> weight_bits(const Graph& graph) {
    double bits = 0;
    int64_t weights = 0;
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      const Value& value = graph.value({i});
      const auto& quant = value.type.quant;
      if (!value.is_constant() || !quant || quant->storage == DType::i32) continue;
      bits += static_cast<double>(value.data.elements() * quant->bits());
      weights += value.data.elements();
    }
    return {bits, weights};
  }
  void quantize(const std::string& flags, const std::string& output) const {
    const auto result = nibble("quantize float.onnx --data digits -o " + output + " " + flags);
    ASSERT_EQ(result.status, 0) << result.err;
  }
};

TEST_F(verbs, a_model_says_how_it_was_made_and_is_made_again) {
  quantize("--weights 4 --rounding gptq --seed 3", "q.onnx");
  const auto told = nibble("provenance q.onnx");
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find("quantize by Nibble"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("weights 4, rounding gptq"), std::string::npos) << told.out;
  EXPECT_EQ(json("provenance q.onnx")["steps"][0]["seed"], 3);

  const auto again = nibble("reproduce q.onnx float.onnx --data digits -o again.onnx");
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.out.find("the same bytes again"), std::string::npos) << again.out;
  EXPECT_EQ(read_file(path("again.onnx")), read_file(path("q.onnx")));

  save_onnx(build_architecture("digits-cnn", {1, 8, 8}, 10, 2), path("other.onnx"));
  const auto other = nibble("reproduce q.onnx other.onnx --data digits");
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.out.find("Another float model"), std::string::npos) << other.out;
  expect_failure("provenance float.onnx", 1, {"float.onnx does not say how it was made"});
}

TEST_F(verbs, a_goal_is_kept_or_nothing_is_written_and_the_exit_code_says_so) {
  const auto kept = nibble("quantize float.onnx --data digits --min-sqnr 5 -o kept.onnx");
  EXPECT_EQ(kept.status, 0) << kept.err;
  EXPECT_NE(kept.out.find("Chosen: W4A8"), std::string::npos) << kept.out;
  EXPECT_NE(kept.out.find("samples that decided nothing"), std::string::npos) << kept.out;

  const auto missed = nibble("quantize float.onnx --data digits --min-sqnr 120 -o missed.onnx");
  EXPECT_EQ(missed.status, 4);
  EXPECT_NE(missed.err.find("misses it by"), std::string::npos) << missed.err;
  EXPECT_FALSE(std::filesystem::exists(path("missed.onnx")));
  const auto forced =
      nibble("quantize float.onnx --data digits --min-sqnr 120 --force --json -o missed.onnx");
  EXPECT_EQ(forced.status, 4);
  EXPECT_TRUE(std::filesystem::exists(path("missed.onnx")));
  const auto json = nlohmann::json::parse(forced.out);
  EXPECT_EQ(json["ladder"]["met"], false);
  EXPECT_FALSE(json["ladder"]["rungs"].empty());

  EXPECT_EQ(nibble("quantize float.onnx --data digits --metric f1 -o no.onnx").status, 1);
}

TEST_F(verbs, inspect_counts_parameters_and_operators) {
  auto report = json("inspect float.onnx");
  EXPECT_GT(report["parameters"], 1000);
  EXPECT_GT(report["macs"], report["parameters"]);
  EXPECT_TRUE(report["operators"].contains("Conv"));
  EXPECT_TRUE(report["unsupported"].empty());
  EXPECT_NE(nibble("inspect float.onnx").out.find("operators:"), std::string::npos);
}

TEST_F(verbs, the_version_comes_with_what_this_machine_gives) {
  const std::string text = nibble("--version").out;
  EXPECT_TRUE(text.starts_with("nibble " + std::string(version()) + "\n")) << text;
  EXPECT_NE(text.find("\ninstruction set: " + std::string(name_of(best_isa()))), std::string::npos)
      << text;
  EXPECT_NE(text.find("\nthreads: "), std::string::npos) << text;
  EXPECT_NE(text.find("\ntraining: "), std::string::npos) << text;
}

TEST_F(verbs, check_exits_with_1_where_it_finds_something_and_0_where_not) {
  quantize("--no-pair-safe --calibration 64", "bare.onnx");
  quantize("--calibration 64", "safe.onnx");
  const auto bare = nibble("check bare.onnx");
  EXPECT_EQ(bare.status, 1) << bare.err;
  EXPECT_NE(bare.out.find("saturating-pairs"), std::string::npos) << bare.out;
  EXPECT_TRUE(bare.err.empty()) << bare.err;
  const auto safe = nibble("check safe.onnx");
  EXPECT_EQ(safe.status, 0) << safe.out;
  EXPECT_EQ(json("check safe.onnx")["clean"], true);
  EXPECT_EQ(nibble("check bare.onnx --target native").status, 0);
  EXPECT_EQ(nibble("check safe.onnx --target tensorrt").status, 1);
  EXPECT_EQ(nibble("check absent.onnx").status, 1);
}

TEST_F(verbs, eval_and_compare_run_models_as_cpus_without_vnni_do) {
  quantize("--no-pair-safe --calibration 64", "bare.onnx");
  quantize("--calibration 64", "safe.onnx");
  const auto outputs = [&](const std::string& model, const std::string& arithmetic) {
    return json("compare float.onnx " + model + " --data digits --samples 16 --arithmetic " +
                arithmetic)["outputs"];
  };
  EXPECT_EQ(outputs("safe.onnx", "saturating16"), outputs("safe.onnx", "integer"));
  EXPECT_NE(outputs("bare.onnx", "saturating16"), outputs("bare.onnx", "integer"));
  EXPECT_EQ(nibble("eval safe.onnx --data digits --arithmetic saturating16").status, 0);
}

TEST_F(verbs, ops_lists_the_operators_with_what_they_can) {
  const auto all = json("ops")["operators"];
  EXPECT_GT(all.size(), 100U);
  const auto one = json("ops matmul")["operators"];
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0]["op"], "MatMul");
  EXPECT_EQ(one[0]["quantized"], true);
  EXPECT_EQ(one[0]["trained"], true);
  EXPECT_EQ(json("ops NonZero")["operators"][0]["quantized"], false);
  const std::string table = nibble("ops").out;
  EXPECT_NE(table.find("LayerNormalization"), std::string::npos);
  EXPECT_NE(table.find(std::to_string(all.size()) + " operators"), std::string::npos);
  expect_failure("ops Convv", 1, {"'Convv'", "did you mean 'Conv'"});
}

TEST_F(verbs, analyze_reports_every_weight_and_writes_json) {
  const auto result = nibble("analyze float.onnx --data digits --samples 50 -o ranges.json");
  ASSERT_EQ(result.status, 0) << result.err;
  const auto report = nlohmann::json::parse(read_file(path("ranges.json")));
  EXPECT_EQ(report["samples"], 50);
  EXPECT_GT(report["tensors"].size(), 5U);
}

TEST_F(verbs, quantize_shrinks_the_file_by_the_bits) {
  quantize("", "w8.onnx");
  quantize("--weights 4", "w4.onnx");
  const auto size = [&](const char* name) { return std::filesystem::file_size(path(name)); };
  EXPECT_LT(size("w8.onnx"), size("float.onnx") / 2);
  EXPECT_LT(size("w4.onnx"), size("w8.onnx"));
}

TEST_F(verbs, dynamic_quantization_needs_no_ranges_and_says_of_none) {
  const auto with = nibble("quantize float.onnx --dynamic --data digits -o with.onnx");
  const auto without = nibble("quantize float.onnx --dynamic -o without.onnx");
  EXPECT_EQ(with.status, 0) << with.err;
  EXPECT_EQ(without.status, 0) << without.err;
  EXPECT_EQ(with.out.find("calibrated"), std::string::npos) << with.out;
  EXPECT_EQ(read_file(path("with.onnx")), read_file(path("without.onnx")));
}

TEST_F(verbs, quantize_is_the_same_byte_for_byte_for_the_same_seed) {
  quantize("--seed 3 --threads 1", "a.onnx");
  quantize("--seed 3 --threads 2", "b.onnx");
  EXPECT_EQ(read_file(path("a.onnx")), read_file(path("b.onnx")));
}

TEST_F(verbs, quantize_takes_bits_by_layer_from_a_config_file) {
  auto nodes = json("inspect float.onnx")["nodes"];
  std::string layer;
  for (const auto& node : nodes) {
    if (node["op"] == "Conv") layer = node["node"];
  }
  std::ofstream(path("nibble.json"))
      << R"({"weights": 8, "layers": {")" << layer << R"(": {"weights": 4}}})";
  auto report = json("quantize float.onnx --data digits -o mixed.onnx --config nibble.json");
  EXPECT_EQ(report["plan"]["layers"][layer]["weights"], 4);
  std::ofstream(path("wrong.json")) << R"({"weight": 8})";
  expect_failure("quantize float.onnx --data digits -o no.onnx --config wrong.json", 1,
                 {"wrong.json", "'weight'"});
  EXPECT_FALSE(std::filesystem::exists(path("no.onnx")));
}

TEST_F(verbs, a_budget_of_average_bits_is_kept) {
  for (const double budget : {8.0, 6.5, 6.0}) {
    quantize("--average-bits " + std::to_string(budget), "mixed.onnx");
    const auto [bits, weights] = weight_bits(load_onnx(path("mixed.onnx")));
    ASSERT_GT(weights, 1000);
    EXPECT_LE(bits, budget * static_cast<double>(weights));
    // And is made use of: these layers come in steps of at most 1.5 bits of the average.
    EXPECT_GT(bits, (budget - 1.5) * static_cast<double>(weights));
  }
  expect_failure("quantize float.onnx --data digits -o no.onnx --average-bits 2", 1,
                 {"an average of 2 bits cannot be had"});
  EXPECT_FALSE(std::filesystem::exists(path("no.onnx")));
}

TEST_F(verbs, ranges_are_measured_once_for_every_target) {
  EXPECT_EQ(nibble("analyze float.onnx --data digits -o ranges.json").status, 0);
  for (const char* target : {"native", "onnxruntime", "openvino", "tensorrt"}) {
    const auto made = nibble(
        std::string("quantize float.onnx --ranges ranges.json -o t.onnx --target ") + target);
    EXPECT_EQ(made.status, 0) << made.err;
    EXPECT_NE(made.out.find("calibrated on 512 samples"), std::string::npos) << made.out;
  }
  EXPECT_EQ(nibble("reproduce t.onnx float.onnx --ranges ranges.json").status, 0);
  std::ofstream(path("odd.json")) << "{}";
  expect_failure("quantize float.onnx --ranges odd.json -o no.onnx", 1,
                 {"odd.json", "no range report"});
  expect_failure("quantize float.onnx --data digits --ranges ranges.json --min-sqnr 5 -o no.onnx",
                 1, {"--ranges", "leave one out"});
}

TEST_F(verbs, budgets_are_given_with_units) {
  quantize("--max-size 1MB --front front.json", "fits.onnx");
  quantize("--max-bops 1.2G", "fits.onnx");
  const auto out = nibble("quantize float.onnx --data digits --max-bops 1.2G -o fits.onnx").out;
  EXPECT_NE(out.find("Bit operations: "), std::string::npos) << out;
  expect_failure("quantize float.onnx --data digits --max-latency 2 -o no.onnx", 2,
                 {"--max-latency cannot be 2", "its unit: us, ms or s"});
  expect_failure("quantize float.onnx --data digits --max-size 1MB --max-bops 1G -o no.onnx", 1,
                 {"--max-size and --max-bops cannot be given together"});
}

TEST_F(verbs, a_front_says_what_other_budgets_would_give) {
  quantize("--average-bits 6 --front front.json", "mixed.onnx");
  std::ifstream file(path("front.json"));
  const auto choice = nlohmann::json::parse(file);
  const auto& front = choice["front"];
  ASSERT_GT(front.size(), 2U);
  bool chosen = false;
  for (size_t i = 1; i < front.size(); ++i) {
    EXPECT_GT(front[i]["average_weight_bits"], front[i - 1]["average_weight_bits"]);
    EXPECT_GT(front[i]["sqnr_db"], front[i - 1]["sqnr_db"]);
    chosen = chosen || front[i]["average_weight_bits"] == choice["average_weight_bits"];
  }
  EXPECT_TRUE(chosen || front[0]["average_weight_bits"] == choice["average_weight_bits"]);
  expect_failure("quantize float.onnx --data digits -o no.onnx --front no.json", 1,
                 {"--front no.json", "--average-bits", "--max-size"});
  EXPECT_FALSE(std::filesystem::exists(path("no.onnx")));
  EXPECT_FALSE(std::filesystem::exists(path("no.json")));
}

TEST_F(verbs, a_budget_of_bytes_is_kept_by_the_file) {
  quantize("", "w8.onnx");
  quantize("--average-bits 5.5", "w5.onnx");
  const auto size = [&](const char* name) { return std::filesystem::file_size(path(name)); };
  ASSERT_LT(size("w5.onnx"), size("w8.onnx"));
  const auto budget = (size("w5.onnx") + size("w8.onnx")) / 2;
  quantize("--max-size " + std::to_string(budget), "sized.onnx");
  EXPECT_LE(size("sized.onnx"), budget);
  EXPECT_GE(size("sized.onnx"), size("w5.onnx") * 9 / 10);
}

TEST_F(verbs, eval_gives_n_an_interval_and_a_paired_test) {
  quantize("", "w8.onnx");
  auto report = json("eval float.onnx w8.onnx --data digits");
  ASSERT_EQ(report["models"].size(), 2U);
  for (const auto& model : report["models"]) {
    EXPECT_EQ(model["samples"], 500);
    EXPECT_LE(model["interval_95"][0], model["accuracy"]);
    EXPECT_GE(model["interval_95"][1], model["accuracy"]);
  }
  EXPECT_LE(report["models"][1]["paired"]["p_value"], 1.0);
}

TEST_F(verbs, compare_lists_layers_worst_first) {
  quantize("--weights 4", "w4.onnx");
  auto layers = json("compare float.onnx w4.onnx --data digits --samples 20")["layers"];
  ASSERT_GT(layers.size(), 2U);
  for (size_t i = 1; i < layers.size(); ++i)
    EXPECT_GE(layers[i]["sqnr_db"], layers[i - 1]["sqnr_db"]);
}

TEST_F(verbs, run_reads_and_writes_npy_and_agrees_with_the_library) {
  const Graph graph = load_onnx(path("float.onnx"));
  Tensor input(DType::f32, {2, 1, 8, 8});
  for (size_t i = 0; i < input.data<float>().size(); ++i)
    input.data<float>()[i] = static_cast<float>(i % 17) / 16;
  save_npy(input, path("x.npy"));
  const std::string name = graph.value(graph.inputs[0]).name;
  const auto result = nibble("run float.onnx --input " + name + "=x.npy -o out");
  ASSERT_EQ(result.status, 0) << result.err;
  Program program = compile(graph, {.input_shapes = {{name, input.shape()}}});
  const Tensor expected = program.run({&input, 1})[0];
  const Tensor written = load_npy(path("out/" + program.output_names()[0] + ".npy"));
  ASSERT_EQ(written.shape(), expected.shape());
  for (size_t i = 0; i < written.data<float>().size(); ++i) {
    EXPECT_EQ(written.data<float>()[i], expected.data<float>()[i]);
  }
}

TEST_F(verbs, bench_gives_latencies_memory_and_size) {
  auto report = json("bench float.onnx --threads 1,2 --seconds 0.05");
  const auto& model = report.at("models").at(0);
  EXPECT_EQ(model.at("latencies").size(), 2U);
  EXPECT_GT(model.at("latencies").at(0).at("median_s"), 0.0);
  EXPECT_GT(model.at("peak_memory_bytes"), 1000000);
  EXPECT_EQ(model.at("file_bytes"), std::filesystem::file_size(path("float.onnx")));
}

TEST_F(verbs, profile_times_each_step_and_says_why_some_are_in_float) {
  quantize("--skip fc1", "q.onnx");
  const auto report = json("profile q.onnx --runs 5 --trace trace.json");
  EXPECT_EQ(report.at("runs"), 5);
  EXPECT_FALSE(report.at("kinds").empty());
  double share = 0;
  std::string why;
  for (const auto& step : report.at("steps")) {
    share += step.at("share").get<double>();
    if (step.at("node") == "fc1") why = step.at("why_float");
  }
  EXPECT_NEAR(share, 1, 1e-6);
  EXPECT_EQ(why, "its weight is in float");

  const auto trace = nlohmann::json::parse(read_file(path("trace.json")));
  EXPECT_GT(trace.at("traceEvents").size(), report.at("steps").size());

  const auto told = nibble("profile q.onnx --runs 5 --top 2 --batch 3");
  EXPECT_EQ(told.status, 0) << told.err;
  for (const char* part : {"more steps take", "In float: ", "what helps: ", "The steps add up to",
                           "Medians of 5 runs", "batch 3", "GB/s"}) {
    EXPECT_NE(told.out.find(part), std::string::npos) << part << "\n" << told.out;
  }
  expect_failure("profile q.onnx --trace no/such/folder.json", 1, {"no/such/folder.json"});
  expect_failure("profile q.onnx --shape y=1x2", 1, {"no model has this input"});
  expect_failure("profile q.onnx --runs -1", 2, {"--runs"});
}

}  // namespace
}  // namespace nibble
