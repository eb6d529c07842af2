// --run on every verb that measures, and the page made of what is left.
#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/onnx.h"
#include "nibble/train.h"

namespace nibble {
namespace {

class report : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    Graph graph = build_architecture("digits-cnn", {1, 8, 8}, 10, 1);
    store_preprocess(graph, {.color = Preprocess::Color::grey, .scale = 1.0F / 16.0F});
    save_onnx(graph, path("float.onnx"));
  }
  void must(const std::string& arguments) const {
    const auto result = nibble(arguments);
    ASSERT_EQ(result.status, 0) << arguments << "\n" << result.err;
  }
  nlohmann::json step(const std::string& name) const {
    return nlohmann::json::parse(read_file(path(name)));
  }
  std::string page(const std::string& folders) const {
    must("report " + folders + " -o page.html");
    return read_file(path("page.html"));
  }
  static void expect_part(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is missing";
  }
};

TEST_F(report, tells_of_the_commands_that_shared_a_folder) {
  must("quantize float.onnx --data digits -o w8.onnx --run runs/a --seed 3");
  must("eval float.onnx w8.onnx --data digits --run runs/a");
  must("compare float.onnx w8.onnx --data digits --samples 20 --run runs/a");
  must("bench float.onnx w8.onnx --seconds 0.01 --run runs/a");
  must("analyze float.onnx --data digits --samples 20 --run runs/a");
  must("inspect w8.onnx --run runs/a");
  const std::string html = page("runs/a");
  expect_part(html, "Quantizing float.onnx to 8-bit weights and 8-bit activations gave w8.onnx");
  expect_part(html, "top-1 accuracy changed by");
  expect_part(html, "nibble quantize float.onnx --data digits -o w8.onnx --run runs/a --seed 3");
}

TEST_F(report, a_step_holds_what_json_prints_and_where_it_comes_from) {
  const auto printed = json("eval float.onnx --data digits --run r --threads 1 --seed 7");
  const auto left = step("r/01-eval.json");
  EXPECT_EQ(left["result"], printed);
  EXPECT_EQ(left["nibble_run"], 1);
  const auto& from = left["provenance"];
  EXPECT_EQ(from["seed"], 7);
  EXPECT_EQ(from["threads"], 1);
  EXPECT_EQ(from["command"][1], "eval");
  EXPECT_EQ(from["models"][0]["file"], "float.onnx");
  EXPECT_EQ(from["models"][0]["bytes"], std::filesystem::file_size(path("float.onnx")));
  EXPECT_EQ(from["models"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(from["data"][0]["data"], "digits");
  EXPECT_EQ(from["data"][0]["samples"], 500);
  EXPECT_EQ(from["data"][0]["digest"].get<std::string>().size(), 64U);
  EXPECT_FALSE(from["isa"].get<std::string>().empty());
  // The same data, the same digest, whoever asks.
  must("compare float.onnx float.onnx --data digits --samples 5 --run r");
  EXPECT_EQ(step("r/02-compare.json")["provenance"]["data"][0]["digest"],
            from["data"][0]["digest"]);
}

TEST_F(report, two_runs_of_different_models_are_a_sentence_each) {
  must("quantize float.onnx --data digits -o w8.onnx --run a");
  must("quantize float.onnx --data digits --weights 4 -o w4.onnx --run b");
  const std::string html = page("a b");
  expect_part(html, "to 8-bit weights and 8-bit activations gave w8.onnx");
  expect_part(html, "activations gave w4.onnx");
}

TEST_F(report, a_folder_without_steps_is_an_error_and_leaves_the_page_as_it_was) {
  std::filesystem::create_directory(path("empty"));
  write_file(path("page.html"), "old");
  expect_failure("report empty -o page.html", 1, {"'empty' holds no step", "--run empty"});
  expect_failure("report nowhere -o page.html", 1, {"'nowhere'"});
  write_file(path("empty/01-eval.json"), R"({"nibble_run": 99})");
  expect_failure("report empty -o page.html", 1, {"empty/01-eval.json", "schema 99"});
  EXPECT_EQ(read_file(path("page.html")), "old");
  expect_failure("report", 2, {"FOLDER"});
}

TEST_F(report, a_run_folder_that_cannot_be_made_is_an_error_before_the_work) {
  write_file(path("file"), "");
  expect_failure("quantize float.onnx --data digits -o w8.onnx --run file/run", 1, {"file/run"});
  EXPECT_FALSE(std::filesystem::exists(path("w8.onnx")));
}

TEST_F(report, of_one_quantization_has_all_that_can_be_measured) {
  must("quantize float.onnx --data digits --weights 4 -o w4.onnx --report page.html --run r");
  const std::string html = read_file(path("page.html"));
  for (const char* part :
       {"gave w4.onnx, which is", "top-1 accuracy changed by", "id=\"accuracy\"", "id=\"costs\"",
        "id=\"layers\"", "id=\"ranges\"", "id=\"provenance\"", "percentile"}) {
    expect_part(html, part);
  }
  // The steps are those of the page.
  for (const char* name : {"r/01-quantize.json", "r/02-analyze.json", "r/03-compare.json",
                           "r/04-eval.json", "r/05-bench.json", "r/06-profile.json"}) {
    EXPECT_TRUE(std::filesystem::exists(path(name))) << name;
  }
}

TEST_F(report, of_a_quantization_without_data_has_what_needs_none) {
  must("quantize float.onnx --weights 4 --activations none -o w4.onnx --report page.html");
  const std::string html = read_file(path("page.html"));
  expect_part(html, "to weights of 4 or 8 bits and float activations gave w4.onnx");
  expect_part(html, "1 thread, batch 1");
  EXPECT_EQ(html.find("accuracy changed"), std::string::npos);
  EXPECT_EQ(html.find("id=\"ranges\""), std::string::npos);
}

TEST_F(report, compare_names_the_costliest_layer_with_its_cause) {
  must("quantize float.onnx --data digits --weights 2 -o w2.onnx");
  const std::string told = nibble("compare float.onnx w2.onnx --data digits --samples 20").out;
  expect_part(told, "of the noise: ");
  expect_part(told, "Try: `nibble q");
  const auto costs = json("compare float.onnx w2.onnx --data digits --samples 20")["costs"];
  double share = 0;
  for (const auto& layer : costs) share += layer["share"].get<double>();
  EXPECT_NEAR(share, 1, 1e-6);
}

TEST_F(report, commands_that_measure_nothing_take_no_run_folder) {
  expect_failure("ops --run r", 2, {"--run"});
  expect_failure("run float.onnx --run r", 2, {"--run"});
}

}  // namespace
}  // namespace nibble
