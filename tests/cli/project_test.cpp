// nibble new: the project that it makes passes its own tests, and holds what it was given.
#include "../runtime/graphs.h"
#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/onnx.h"

namespace nibble {
namespace {

using test::Builder;

Tensor tensor(const Shape& shape, uint64_t seed) {
  Random random(seed);
  return test::random_tensor(shape, random);
}

class project : public testing::CommandLine {
 protected:
  /// A step of the project, with the program under test on PATH.
  testing::CommandResult step(const std::string& folder, const std::string& name) const {
    const std::string bin = (testing::binary_dir() / "bin").string();
    const std::string command = "cd '" + path(folder) + "' && PATH='" + bin + "':\"$PATH\" ./run " +
                                name + " >'" + path("out") + "' 2>'" + path("err") + "' </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(path("out")),
            read_file(path("err"))};
  }
  void expect_promises_kept(const std::string& folder) const {
    const testing::CommandResult result = step(folder, "test");
    EXPECT_EQ(result.status, 0) << result.out << result.err;
    EXPECT_NE(result.err.find("Ran 3 tests"), std::string::npos) << result.err;
  }
  // A dense layer, and rows with the class that it answers, or without.
  void make_model_and_data(bool labels) const {
    Builder b;
    const ValueId x = b.input("x", {-1, 24});
    b.graph.outputs = {b.op("MatMul", {x, b.constant(tensor({24, 64}, 3))})};
    save_onnx(b.graph, path("own.onnx"));
    const Tensor rows = tensor({400, 24}, 5);
    save_npy(rows, path("my rows.npy"));
    Program program = compile(b.graph, {.input_shapes = {{"x", rows.shape()}}});
    const Tensor scores = program.run(std::vector{rows})[0];
    Tensor classes(DType::i64, {400});
    for (size_t i = 0; i < 400; ++i) {
      const float* row = scores.data<float>().data() + i * 64;
      classes.data<int64_t>()[i] = std::max_element(row, row + 64) - row;
    }
    if (labels) save_npy(classes, path("classes.npy"));
  }
};

TEST_F(project, trains_quantizes_and_keeps_its_promises_as_it_is) {
  if (!testing::has_training()) GTEST_SKIP() << "libnibble_train is not built";
  ASSERT_EQ(nibble("new digits").status, 0);
  expect_promises_kept("digits");
  EXPECT_NE(step("digits", "evaluate").out.find("models/small.onnx"), std::string::npos);
  // Less than nothing may be lost: the tests can fail.
  write_file(path("digits/project.conf"),
             read_file(path("digits/project.conf")) + "\nMAX_DROP=-50\nMAX_SIZE=0.01\n");
  const testing::CommandResult broken = step("digits", "test");
  EXPECT_NE(broken.status, 0);
  EXPECT_NE(broken.err.find("failures=2"), std::string::npos) << broken.err;
}

TEST_F(project, takes_a_model_and_labelled_data_wherever_they_are) {
  make_model_and_data(true);
  const auto made = nibble("new deep/mine --model own.onnx --data 'my rows.npy,classes.npy'");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(read_file(path("deep/mine/README.md")).substr(0, 6), "# mine");
  write_file(path("deep/mine/project.conf"),
             read_file(path("deep/mine/project.conf")) + "\nMAX_DROP=10\n");  // 40 test samples
  expect_promises_kept("deep/mine");
}

TEST_F(project, takes_data_without_labels_and_their_flags) {
  make_model_and_data(false);
  const auto made =
      nibble("new mine --from minimal --model own.onnx --data none --input 'x=my rows.npy'");
  EXPECT_EQ(made.status, 1);
  const auto given =
      nibble("new mine --from minimal --model own.onnx --data 'my rows.npy' --frame 0 --hop 0");
  ASSERT_EQ(given.status, 0) << given.err;
  EXPECT_GE(json("new other --from minimal")["files"].size(), 7U);
  EXPECT_NE(read_file(path("mine/project.conf")).find("DATA_FLAGS='--frame 0 --hop 0'"),
            std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(path("mine/notebook.ipynb")));
  expect_promises_kept("mine");
  const testing::CommandResult report = step("mine", "report");
  EXPECT_EQ(report.status, 0) << report.err;
  EXPECT_NE(read_file(path("mine/report.html")).find("models/small.onnx"), std::string::npos);
}

TEST_F(project, what_does_not_fit_leaves_nothing_behind) {
  make_model_and_data(false);
  save_npy(tensor({50, 7}, 1), path("other.npy"));
  expect_failure("new mine --model own.onnx --data other.npy", 1, {"'x'", "[7]"});
  expect_failure("new mine --model own.onnx", 1, {"--data"});
  expect_failure("new mine --model nowhere.onnx --data digits", 1, {"nowhere.onnx"});
  expect_failure("new mine --data 'my rows.npy'", 1, {"no labels", "--model"});
  EXPECT_FALSE(std::filesystem::exists(path("mine")));
  EXPECT_FALSE(std::filesystem::exists(path(".mine.new")));
  std::filesystem::create_directory(path("mine"));
  expect_failure("new mine", 1, {"mine is there already"});
}

}  // namespace
}  // namespace nibble
