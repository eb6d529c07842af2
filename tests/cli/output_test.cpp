// What commands write: results on stdout, files of outputs, devices and pipes.
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/onnx.h"
#include "nibble/train.h"

namespace nibble {
namespace {

class output : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    Graph graph = build_architecture("digits-cnn", {1, 8, 8}, 10, 1);
    store_preprocess(graph, {.color = Preprocess::Color::grey, .scale = 1.0F / 16.0F});
    save_onnx(graph, path("float.onnx"));
  }
  // The command with stdout as `redirection` says: exit code, and what is on stderr.
  testing::CommandResult redirected(const std::string& arguments,
                                    const std::string& redirection) const {
    const std::string command = "cd '" + folder_.string() + "' && '" + program() + "' " +
                                arguments + " 2>stderr.txt " + redirection;
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", read_file(folder_ / "stderr.txt")};
  }
};

// y = x + i for each name.
void save_graph_with_outputs(const std::vector<std::string>& names, const std::string& path) {
  Graph graph;
  const TensorType type{.dtype = DType::f32, .shape = {2}};
  const ValueId input = graph.add_value("x", type);
  graph.inputs = {input};
  for (size_t i = 0; i < names.size(); ++i) {
    const ValueId addend =
        graph.add_constant("c" + std::to_string(i), Tensor::of<float>({}, {static_cast<float>(i)}));
    const ValueId output = graph.add_value(names[i], type);
    graph.add_node({.op = "Add",
                    .name = "add" + std::to_string(i),
                    .inputs = {input, addend},
                    .outputs = {output}});
    graph.outputs.push_back(output);
  }
  save_onnx(graph, path);
}

TEST_F(output, run_writes_a_file_for_every_output_and_says_which) {
  save_graph_with_outputs({"a/b", "a_b", "a:b", "..", std::string(300, 'n')}, path("names.onnx"));
  save_npy(Tensor::of<float>({2}, {10.0F, 20.0F}), path("x.npy"));
  const auto report = json("run names.onnx --input x=x.npy -o out");
  ASSERT_EQ(report["outputs"].size(), 5U);
  for (size_t i = 0; i < 5; ++i) {
    const Tensor got = load_npy(folder_ / report["outputs"][i]["file"].get<std::string>());
    EXPECT_EQ(got.data<float>()[0], 10.0F + static_cast<float>(i));
  }
  EXPECT_EQ(report["outputs"][1]["file"], "out/a_b.npy");
  const auto files = std::filesystem::directory_iterator(folder_ / "out");
  EXPECT_EQ(std::distance(begin(files), end(files)), 5);
  const std::string text = nibble("run names.onnx --input x=x.npy -o out").out;
  EXPECT_NE(text.find("a:b f32[2] -> out/a_b-3.npy"), std::string::npos) << text;
}

TEST_F(output, a_full_disk_behind_stdout_is_an_error) {
  for (const char* arguments : {"inspect float.onnx", "inspect float.onnx --json", "--help",
                                "inspect --help", "--version"}) {
    const auto result = redirected(arguments, ">/dev/full");
    EXPECT_EQ(result.status, 1) << arguments;
    EXPECT_EQ(result.err, "nibble: cannot write to the standard output: No space left on device\n");
  }
}

TEST_F(output, a_closed_pipe_or_a_closed_stdout_is_an_error) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto broken = redirected("inspect float.onnx --json", ">&" + std::to_string(ends[1]));
  ::close(ends[1]);
  EXPECT_EQ(broken.status, 1);
  EXPECT_EQ(broken.err, "nibble: cannot write to the standard output: Broken pipe\n");
  const auto closed = redirected("inspect float.onnx", ">&-");
  EXPECT_EQ(closed.status, 1);
  EXPECT_NE(closed.err.find("cannot write to the standard output: Bad file"), std::string::npos)
      << closed.err;
}

TEST_F(output, a_model_can_be_written_to_a_device_or_a_pipe) {
  const auto null = nibble("quantize float.onnx --data digits -o /dev/null");
  EXPECT_EQ(null.status, 0) << null.err;
  EXPECT_NE(null.out.find("times smaller"), std::string::npos) << null.out;
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  std::string copied;
  std::thread reader([&] { copied = read_file(path("pipe")); });
  const auto pipe = nibble("quantize float.onnx --data digits -o pipe");
  reader.join();
  EXPECT_EQ(pipe.status, 0) << pipe.err;
  ASSERT_EQ(nibble("quantize float.onnx --data digits -o file.onnx").status, 0);
  EXPECT_EQ(copied, read_file(path("file.onnx")));
}

TEST_F(output, the_model_and_the_report_of_it_do_not_go_to_the_same_place) {
  expect_failure("quantize float.onnx --data digits -o /dev/stdout", 1,
                 {"/dev/stdout", "standard output"});
}

TEST_F(output, a_model_can_be_read_from_a_pipe) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  std::thread writer([&] { write_file(path("pipe"), read_file(path("float.onnx"))); });
  const auto result = nibble("inspect pipe");
  writer.join();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("operators:"), std::string::npos);
}

TEST_F(output, a_replaced_model_keeps_its_mode) {
  ASSERT_EQ(nibble("quantize float.onnx --data digits -o w8.onnx").status, 0);
  ASSERT_EQ(::chmod(path("w8.onnx").c_str(), 0640), 0);
  ASSERT_EQ(nibble("quantize float.onnx --data digits -o w8.onnx").status, 0);
  struct stat info {};
  ASSERT_EQ(::stat(path("w8.onnx").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0640U);
}

TEST_F(output, a_folder_that_cannot_be_made_is_one_sentence) {
  expect_failure("demo -o float.onnx/models", 1, {"float.onnx/models", "folder"});
  save_graph_with_outputs({"y"}, path("one.onnx"));
  save_npy(Tensor::of<float>({2}, {10.0F, 20.0F}), path("x.npy"));
  expect_failure("run one.onnx --input x=x.npy -o float.onnx", 1, {"float.onnx", "folder"});
  expect_failure("eval float.onnx --data digits --predictions missing/p.npy", 1,
                 {"missing", "does not exist"});
}

}  // namespace
}  // namespace nibble
