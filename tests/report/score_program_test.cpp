// Programs of the user's, as shell scripts.
#include <gtest/gtest.h>

#include <filesystem>

#include "../runtime/graphs.h"
#include "../support/temp_folder.h"
#include "base/file.h"
#include "nibble/measure.h"
#include "report/listed_samples.h"
#include "support/errors.h"

namespace nibble {
namespace {

using test::Builder;
using test::rows_of;
using testing::error_of;

class score_program : public ::testing::Test {
 protected:
  score_program() : data_(rows_of(2, {1, 2, 3, 4, 5, 6, 7, 8})) {
    Builder a;
    a.graph.outputs = {a.op("Identity", {a.input("x", {-1, 2})})};
    first_ = a.graph;
    Builder b;
    b.graph.outputs = {b.op("Neg", {b.input("x", {-1, 2})})};
    second_ = b.graph;
  }
  std::string script(const std::string& body) const {
    const std::filesystem::path file = folder_.write("score.sh", "#!/bin/sh\n" + body + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file.string();
  }
  MetricReport measure_with(const std::string& program, int resamples = 200) const {
    const std::vector<MeasuredModel> models = {{"first.onnx", &first_, &data_},
                                               {"second.onnx", &second_, &data_}};
    return measure_by_program(models, program, {.resamples = resamples});
  }
  std::string complaint(const std::string& program) const {
    return error_of([&] { measure_with(program); });
  }

  testing::TempFolder folder_;
  test::ListedSamples data_;
  Graph first_, second_;
};

TEST_F(score_program, one_number_for_each_sample_is_averaged_and_paired) {
  // 4 3 2 1 for the first model, 5 3 2 1 for the second.
  const MetricReport report = measure_with(
      script("grep -q '\"model\": \"first' \"$1/request.json\" && echo 4 || echo 5\necho 3 2 1"));
  EXPECT_EQ(report.metric, "score");
  EXPECT_EQ(report.models[0].value, 2.5);
  EXPECT_EQ(report.models[1].value, 2.75);
  EXPECT_EQ(report.models[1].per_sample, (std::vector<double>{5, 3, 2, 1}));
  EXPECT_EQ(report.models[0].method, IntervalMethod::bootstrap);
  EXPECT_LT(report.models[0].interval.low, 2.5);
  EXPECT_GT(report.models[0].interval.high, 2.5);
  EXPECT_EQ(report.differences[1].value, 0.25);
  EXPECT_LE(report.differences[1].interval.low, 0.25);
}

// The value of set k is k for the first model and k + 1 for the second.
TEST_F(score_program, one_number_for_each_set_gives_the_interval_of_the_sets) {
  const MetricReport report = measure_with(
      script("k=100; grep -q '\"model\": \"first' \"$1/request.json\" || k=101\n"
             "echo $k; n=0; while [ $n -lt 200 ]; do echo $((k - 100 + n)); n=$((n + 1)); done"));
  EXPECT_EQ(report.models[0].value, 100);
  EXPECT_EQ(report.models[1].value, 101);
  EXPECT_EQ(report.models[0].method, IntervalMethod::bias_corrected);
  EXPECT_NEAR(report.models[0].interval.low, 5, 2);
  EXPECT_NEAR(report.models[0].interval.high, 195, 2);
  EXPECT_EQ(report.differences[1].value, 1);
  EXPECT_EQ(report.differences[1].interval.low, 1);
  EXPECT_EQ(report.differences[1].interval.high, 1);
  EXPECT_TRUE(report.models[0].per_sample.empty());
}

TEST_F(score_program, the_folder_holds_what_is_promised) {
  data_.class_count = 2;
  data_.labels = {1, 0, 1, 0};
  for (int i = 0; i < 4; ++i) {
    data_.target_values.push_back(Tensor::of<int64_t>({1}, {int64_t{10} + i}));
  }
  data_.target_field = {.name = "t", .dtype = DType::i64, .shape = Shape{1}};
  const std::string copy = (folder_ / "copy").string();
  measure_with(script("cp -rL \"$1\" " + copy +
                      "$(grep -c '\"second.onnx\"' \"$1/request.json\")\n" + "echo 1 2 3 4"));
  const Tensor own = load_npz(copy + "1/outputs/000002.npz", "Neg_out");
  EXPECT_EQ(own.shape(), (Shape{1, 2}));
  EXPECT_EQ(own.data<float>()[0], -5);
  EXPECT_EQ(load_npz(copy + "1/reference/000002.npz", "Identity_out").data<float>()[1], 6);
  EXPECT_EQ(load_npz(copy + "0/outputs/000000.npz", "Identity_out").data<float>()[1], 2);
  EXPECT_EQ(load_npy(copy + "1/labels.npy").data<int64_t>()[2], 1);
  EXPECT_EQ(load_npz(copy + "1/targets/000003.npz", "t").data<int64_t>()[0], 13);
  const Tensor sets = load_npy(copy + "1/sets.npy");
  EXPECT_EQ(sets.shape(), (Shape{201, 4}));
  for (size_t set = 0; set < 201; ++set) {
    int drawn = 0;
    for (size_t i = 0; i < 4; ++i) drawn += sets.data<uint8_t>()[set * 4 + i];
    EXPECT_EQ(drawn, 4);
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(sets.data<uint8_t>()[i], 1);
}

TEST_F(score_program, there_are_never_as_many_sets_as_samples) {
  const MetricReport report =
      measure_with(script("echo 1 2 3 4"), 3);  // four sets would do as well
  EXPECT_EQ(report.models[0].per_sample.size(), 4U);
  EXPECT_EQ(measure_with(script("echo 1 2 3 4 5"), 3).models[0].value, 1);
}

TEST_F(score_program, may_be_a_command_line_of_the_shell) {
  EXPECT_EQ(measure_with("printf '1 2 3 6 %.0s'").models[0].value, 3);
}

TEST_F(score_program, leaves_no_files_behind) {
  const std::string kept = (folder_ / "kept").string();
  measure_with(script("echo \"$1\" > " + kept + "; echo 1 2 3 4"));
  std::string path = read_file(kept);
  path.pop_back();
  EXPECT_FALSE(path.empty());
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(score_program, what_goes_wrong_is_one_sentence_that_names_it) {
  const auto holds = [&](const std::string& program, const std::string& part) {
    const std::string message = complaint(program);
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find(program), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  };
  holds(script("echo first >&2; echo 'no such class' >&2; exit 3"),
        "it failed with exit code 3: no such class");
  holds(script("kill -9 $$"), "exit code 137");
  holds(script("echo 1 2 three 4"), "its answer number 3 is 'three', not a number");
  holds(script("echo 1 2"), "it answered 2 numbers; wanted are 4 (one for each sample) or 201");
  holds(script("true"), "it answered 0 numbers");
  holds(script("echo 1 2 nan 4"), "answered NaN for sample 2");
  holds(script("echo 1 inf 3 4"), "its answer number 2 is inf");
  holds("/nowhere/score", "exit code 127");
  const std::filesystem::path plain = folder_.write("plain.py", "print(1)\n");
  holds(plain.string(), "cannot be started");
}

TEST_F(score_program, is_ended_when_the_user_stops) {
  class Stop : public ProgressSink {
   public:
    void update(std::string_view stage, int64_t, int64_t) override {
      scoring_ = stage == "scoring";
    }
    bool cancelled() const override { return scoring_ && ++asked_ > 2; }

   private:
    bool scoring_ = false;
    mutable int asked_ = 0;
  } stop;
  const std::vector<MeasuredModel> models = {{"first.onnx", &first_, &data_}};
  try {
    measure_by_program(models, script("exec sleep 60"), {.resamples = 200, .progress = &stop});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
}

}  // namespace
}  // namespace nibble
