// Judging without labels, by other metrics, and by programs of the user's.
#include <cmath>

#include "../runtime/graphs.h"
#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/onnx.h"
#include "support/shared_files.h"

namespace nibble {
namespace {

using test::Builder;

// A logit and the same behind a Sigmoid, on samples whose sign is their label; scores of three
// classes beside an image.
class judging : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    save_onnx(scorer({"Identity"}, 1), path("logit.onnx"));
    save_onnx(scorer({"Sigmoid"}, 1), path("sigmoid.onnx"));
    save_onnx(scorer({"Identity"}, 1.1F), path("near.onnx"));
    Random random(3);
    Tensor x(DType::f32, {60, 1});
    Tensor y(DType::i64, {60});
    for (size_t i = 0; i < 60; ++i) {
      x.data<float>()[i] = static_cast<float>(random.normal());
      y.data<int64_t>()[i] = x.data<float>()[i] > 0 ? 1 : 0;
    }
    save_npy(x, path("x.npy"));
    save_npy(y, path("y.npy"));
  }
  static Graph scorer(const std::vector<std::string>& ops, float factor) {
    Builder b;
    ValueId x = b.input("x", {-1, 1});
    x = b.op("Mul", {x, b.constant(Tensor::scalar(factor))});
    for (const std::string& op : ops) x = b.op(op, {x});
    b.graph.outputs = {x};
    b.graph.value(x).name = "z";
    return b.graph;
  }
};

TEST_F(judging, a_logit_and_its_sigmoid_have_the_same_accuracy) {
  const auto report = json("eval logit.onnx sigmoid.onnx --data x.npy,y.npy");
  for (const auto& model : report["models"]) EXPECT_EQ(model["accuracy"], 1.0);
  EXPECT_EQ(report["metric"], "top1");
  const std::string text = nibble("eval logit.onnx --data x.npy,y.npy").out;
  EXPECT_NE(text.find("taken as a logit: class 1 above 0"), std::string::npos) << text;
  EXPECT_LT(json("eval logit.onnx --data x.npy,y.npy --threshold 0.5")["models"][0]["accuracy"],
            1.0);
}

TEST_F(judging, metrics_are_named_and_paired) {
  for (const std::string metric : {"f1", "auc"}) {
    const auto report = json("eval logit.onnx near.onnx --data x.npy,y.npy --metric " + metric);
    ASSERT_EQ(report["metrics"].size(), 1U);
    const auto& entry = report["metrics"][0];
    EXPECT_EQ(entry["metric"], metric);
    EXPECT_EQ(entry["models"][0]["value"], 1.0);
    EXPECT_EQ(entry["models"][1]["difference"]["value"], 0.0);
    EXPECT_EQ(entry["models"][1]["difference"]["interval_method"], "bootstrap-bca");
  }
  const std::string text = nibble("eval logit.onnx near.onnx --data x.npy,y.npy --metric auc").out;
  EXPECT_NE(text.find("100.00 % [100.00, 100.00], n = 60"), std::string::npos) << text;
  EXPECT_NE(text.find("says nothing of samples not seen"), std::string::npos) << text;
  expect_failure("eval logit.onnx --data x.npy,y.npy --metric nothing", 2, {"--metric"});
}

TEST_F(judging, without_labels_outputs_are_judged_by_the_first_model) {
  const auto report = json("eval logit.onnx near.onnx --data x.npy");
  ASSERT_EQ(report["metrics"].size(), 3U);
  const auto& sqnr = report["metrics"][0];
  EXPECT_EQ(sqnr["metric"], "sqnr");
  EXPECT_EQ(sqnr["output"], "z");
  EXPECT_EQ(sqnr["unit"], "dB");
  EXPECT_EQ(sqnr["against"], "logit.onnx");
  EXPECT_NEAR(sqnr["models"][0]["value"], 20, 1e-3);
  EXPECT_EQ(sqnr["models"][0]["samples"], 60);
  const std::string text = nibble("eval logit.onnx near.onnx --data x.npy").out;
  EXPECT_NE(text.find("20.0 [20.0, 20.0] dB, n = 60"), std::string::npos) << text;
  expect_failure("eval logit.onnx --data x.npy", 1, {"float model", "--score"});
  expect_failure("eval logit.onnx near.onnx --data x.npy --metric top1", 1, {"labels"});
}

// The target is the input itself: the second model is off by a tenth of it.
TEST_F(judging, targets_are_measured_against) {
  std::filesystem::create_directory(path("set"));
  std::filesystem::copy(path("x.npy"), path("set/x.npy"));
  std::filesystem::copy(path("x.npy"), path("set/target:z.npy"));
  const auto report = json("eval logit.onnx near.onnx --data set");
  ASSERT_EQ(report["metrics"].size(), 2U);
  EXPECT_EQ(report["metrics"][0]["metric"], "mse");
  EXPECT_EQ(report["metrics"][0]["larger_is_better"], false);
  EXPECT_EQ(report["metrics"][0]["models"][0]["value"], 0.0);
  EXPECT_EQ(report["metrics"][1]["metric"], "mae");
  const Tensor x = load_npy(path("x.npy"));
  double sum = 0;
  for (const float value : x.data<float>()) sum += std::abs(value) / 10 / 60;
  EXPECT_NEAR(report["metrics"][1]["models"][1]["value"], sum, 1e-6);
  EXPECT_NEAR(report["metrics"][1]["models"][1]["difference"]["value"], sum, 1e-6);
}

TEST_F(judging, compare_reports_the_outputs_before_the_layers_with_or_without_labels) {
  for (const std::string data : {"x.npy", "x.npy,y.npy"}) {
    const auto report = json("compare logit.onnx near.onnx --data " + data);
    EXPECT_EQ(report["outputs"][0]["metric"], "sqnr");
    EXPECT_NEAR(report["outputs"][0]["models"][0]["value"], 20, 1e-3);
    EXPECT_FALSE(report["layers"].empty());
  }
}

TEST_F(judging, the_seed_fixes_the_interval) {
  const std::string command = "eval logit.onnx near.onnx --data x.npy --metric max_error";
  const auto interval = [&](const std::string& flags) {
    return json(command + flags)["metrics"][0]["models"][0]["interval_95"];
  };
  EXPECT_EQ(interval(" --seed 4"), interval(" --seed 4 --threads 2"));
  EXPECT_NE(interval(" --seed 4"), interval(" --seed 5"));
}

TEST_F(judging, a_program_of_the_users_judges) {
  const std::string score = " --score 'seq 60 ; :'";
  const auto report = json("eval logit.onnx near.onnx --data x.npy" + score);
  const auto& entry = report["metrics"][0];
  EXPECT_EQ(entry["metric"], "score");
  EXPECT_EQ(entry["models"][1]["value"], 30.5);
  EXPECT_EQ(entry["models"][1]["difference"]["value"], 0.0);
  expect_failure("eval logit.onnx --data x.npy --score 'exit 4; :'", 1, {"exit code 4"});
  expect_failure("eval logit.onnx --data x.npy --score 'echo one; :'", 1, {"'one', not a number"});
  expect_failure("eval logit.onnx --data x.npy --score ./missing", 1, {"./missing", "127"});
  expect_failure("eval logit.onnx --data x.npy --score true --metric f1", 2, {"--score"});
}

TEST_F(judging, what_is_no_score_is_refused) {
  Builder b;
  const ValueId x = b.input("x", {-1, 1});
  b.graph.outputs = {b.op(
      "Concat",
      {b.op("Reshape", {x, b.integers({-1, 1, 1})}), b.op("Reshape", {x, b.integers({-1, 1, 1})})},
      {{"axis", int64_t{1}}})};
  b.graph.outputs = {
      b.op("Concat", {b.graph.outputs[0], b.graph.outputs[0]}, {{"axis", int64_t{2}}})};
  save_onnx(b.graph, path("image.onnx"));
  expect_failure("eval image.onnx --data x.npy,y.npy", 1,
                 {"no output of the model holds class scores", "[1,2,2]", "--metric sqnr"});
}

// The right values of the files that users brought.
TEST_F(judging, the_scores_of_real_files_are_read_as_they_are_meant) {
  NIBBLE_SHARED_FILE(folder, "cases/scores");
  const auto accuracy = [&](const std::string& model, const std::string& flags) {
    const auto report = json("eval " + (folder / model).string() + " " + flags);
    return report["models"][0]["accuracy"].get<double>();
  };
  const std::string binary =
      "--data " + (folder / "Xb.npy").string() + "," + (folder / "Yb.npy").string();
  EXPECT_EQ(accuracy("logit.onnx", binary), 1.0);
  EXPECT_EQ(accuracy("sigmoid.onnx", binary), 1.0);
  const double expected = accuracy("model.onnx", "--data digits");
  EXPECT_EQ(accuracy("argmax.onnx", "--data digits"), expected);
  EXPECT_EQ(accuracy("two_outputs.onnx", "--data digits"), expected);
  EXPECT_EQ(accuracy("two_outputs.onnx", "--data digits --output y"), expected);
  EXPECT_EQ(accuracy("two_outputs_swapped.onnx", "--data digits"), expected);
  const auto nan = json("eval " + (folder / "nan_logits.onnx").string() + " --data digits");
  EXPECT_GT(nan["models"][0]["nan_samples"], 0);
  expect_failure("eval " + (folder / "nine_classes.onnx").string() + " --data digits", 1,
                 {"only 9 classes apart"});
  const std::string dead = nibble("eval " + (folder / "dead.onnx").string() + " --data digits").out;
  EXPECT_NE(dead.find("The answer to all samples is class"), std::string::npos) << dead;
}

}  // namespace
}  // namespace nibble
