// Bad input: one clear sentence, the right exit code, and every existing file as it was.
#include <fstream>
#include <sstream>

#include "cli/command_line.h"
#include "nibble/data.h"
#include "nibble/onnx.h"
#include "nibble/train.h"

namespace nibble {
namespace {

class bad_input : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    save_onnx(build_architecture("digits-cnn", {1, 8, 8}, 10, 1), path("float.onnx"));
  }
  // As `nibble --help` lists them.
  std::vector<std::string> command_names() const {
    const std::string help = nibble("--help").out;
    std::istringstream lines(help.substr(help.find("Subcommands:")));
    std::vector<std::string> names;
    std::string line, name;
    std::getline(lines, line);
    while (std::getline(lines, line) && line.starts_with("  ")) {
      std::istringstream words(line);
      if (line[2] != ' ' && words >> name) names.push_back(name);
    }
    return names;
  }
  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
};

TEST_F(bad_input, every_command_explains_itself_with_an_example) {
  const std::vector<std::string> commands = command_names();
  EXPECT_GT(commands.size(), 10U);
  for (const std::string& command : commands) {
    const auto result = nibble(command + " --help");
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.out.find("Example:\n  nibble " + command), std::string::npos) << result.out;
    if (command == "launch") continue;  // options behind its own are those of what it starts
    for (const char* option : {"--json", "--threads", "--seed"}) {
      EXPECT_NE(result.out.find(option), std::string::npos) << command << " has no " << option;
    }
  }
}

TEST_F(bad_input, wrong_usage_is_exit_code_2) {
  expect_failure("", 2, {"subcommand"});
  expect_failure("frobnicate", 2, {"frobnicate"});
  expect_failure("quantise float.onnx", 2, {"'quantise'", "did you mean 'quantize'"});
  expect_failure("quantize float.onnx --data digits -o x.onnx --average-bits 9", 2,
                 {"--average-bits cannot be 9", "from 2 to 8"});
  expect_failure("train --arch digits-cnn --data digits -o x.onnx --distill 0.5", 2, {"--distill"});
  expect_failure("inspect float.onnx --colour", 2, {"--colour"});
  expect_failure("quantize float.onnx --data digits -o x.onnx --weights 5", 2, {"--weights"});
  expect_failure("eval float.onnx --data digits --batch zero", 2, {"--batch"});
  expect_failure("eval float.onnx --data digits --mean 0.5,x", 2, {"--mean cannot be x", "number"});
  expect_failure("eval float.onnx --data digits --std 1,0", 2, {"--std cannot be 0", "above 0"});
  expect_failure("eval float.onnx --data digits --resize 8xy", 1, {"--resize 8xy: 'y'"});
  expect_failure("eval float.onnx --data digits --crop 1x2x3", 1, {"--crop 1x2x3", "HxW"});
  expect_failure("bench float.onnx --threads 1,2000", 2, {"--threads cannot be 2000", "to 1024"});
}

TEST_F(bad_input, a_missing_file_is_named) {
  expect_failure("inspect nowhere.onnx", 1, {"nowhere.onnx", "No such file"});
  expect_failure("eval float.onnx --data nowhere", 1, {"nowhere"});
  expect_failure("run float.onnx --input input=nowhere.npy", 1, {"nowhere.npy"});
}

TEST_F(bad_input, a_truncated_or_foreign_model_is_refused) {
  const std::string bytes = read_file(path("float.onnx"));
  write("half.onnx", bytes.substr(0, bytes.size() / 2));
  expect_failure("inspect half.onnx", 1, {"half.onnx"});
  write("text.onnx", "this is no protobuf at all");
  expect_failure("inspect text.onnx", 1, {"text.onnx"});
  write("empty.onnx", "");
  expect_failure("inspect empty.onnx", 1, {"empty.onnx"});
}

TEST_F(bad_input, a_failed_command_leaves_the_output_file_as_it_was) {
  write("out.onnx", "precious");
  write("data/a/broken.jpg", "\xff\xd8 this is no image");
  write("data/b/broken.jpg", "\xff\xd8 nor is this");
  expect_failure("quantize float.onnx --data data -o out.onnx --resize 8x8", 1, {"broken.jpg"});
  EXPECT_EQ(read_file(path("out.onnx")), "precious");
}

TEST_F(bad_input, a_full_disk_leaves_nothing_half_written) {
  write("out.onnx", "precious");
  const std::string full = "trap '' XFSZ; ulimit -f 8;";
  expect_failure("quantize float.onnx --data digits -o out.onnx", 1, {"out.onnx"}, full);
  EXPECT_EQ(read_file(path("out.onnx")), "precious");
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_EQ(entry.path().filename().string().find("out.onnx."), std::string::npos)
        << entry.path();
  }
}

TEST_F(bad_input, an_empty_data_set_and_a_wrong_shape_are_explained) {
  std::filesystem::create_directories(path("nothing"));
  expect_failure("eval float.onnx --data nothing", 1, {"nothing"});
  write("x.npy", std::string("\x93NUMPY\x01\x00v\x00", 10) +
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 8, 8), }" +
                     std::string(52, ' ') + "\n" + std::string(4 * 3 * 64, '\0'));
  const auto name = load_onnx(path("float.onnx"));
  expect_failure("run float.onnx --input " + name.value(name.inputs[0]).name + "=x.npy", 1,
                 {"[1,3,8,8]"});
}

TEST_F(bad_input, a_quantized_model_is_not_quantized_twice) {
  ASSERT_EQ(nibble("quantize float.onnx --data digits -o w8.onnx --scale 0.0625").status, 0);
  expect_failure("quantize w8.onnx --data digits -o again.onnx", 1,
                 {"quantized already", "finetune"});
  expect_failure("finetune float.onnx --data digits -o again.onnx", 1,
                 {"no quantized weights", "qat"});
}

TEST_F(bad_input, a_model_without_layers_is_not_quantized_unless_forced) {
  Graph graph;
  const TensorType type{.dtype = DType::f32, .shape = {-1, 1, 8, 8}};
  graph.inputs = {graph.add_value("x", type)};
  graph.outputs = {graph.add_value("y", type)};
  graph.add_node({.op = "Exp", .name = "exp", .inputs = graph.inputs, .outputs = graph.outputs});
  save_onnx(graph, path("exp.onnx"));
  const std::string flags = " --data digits --scale 0.0625 -o out.onnx";
  expect_failure("quantize exp.onnx" + flags, 1, {"nothing to quantize"});
  EXPECT_FALSE(std::filesystem::exists(path("out.onnx")));
  const auto forced = nibble("quantize exp.onnx --force" + flags);
  EXPECT_EQ(forced.status, 0) << forced.err;
  EXPECT_TRUE(std::filesystem::exists(path("out.onnx")));
  EXPECT_EQ(forced.out.find("times smaller"), std::string::npos) << forced.out;
}

TEST_F(bad_input, nothing_quantized_says_why) {
  const auto report = json("inspect float.onnx");
  std::string layers;
  for (const auto& node : report["nodes"]) {
    if (node["op"] == "Conv" || node["op"] == "Gemm")
      layers += node["node"].get<std::string>() + ",";
  }
  expect_failure("quantize float.onnx --data digits --scale 0.0625 -o out.onnx --skip " + layers, 1,
                 {"nothing can be quantized", "is to be skipped"});
  EXPECT_FALSE(std::filesystem::exists(path("out.onnx")));
}

TEST_F(bad_input, operators_that_are_unknown_are_named_with_the_nearest) {
  Graph graph;
  const TensorType type{.dtype = DType::f32, .shape = {4, 4}};
  graph.opsets = {{"", 17}, {"com.microsoft", 1}};
  graph.inputs = {graph.add_value("x", type)};
  const ValueId half = graph.add_value("half", type);
  graph.outputs = {graph.add_value("y", type)};
  graph.add_node({.op = "MatMulBnb4",
                  .domain = "com.microsoft",
                  .name = "fused",
                  .inputs = {graph.inputs[0], graph.inputs[0]},
                  .outputs = {half}});
  graph.add_node({.op = "Softmaxx", .name = "odd", .inputs = {half}, .outputs = graph.outputs});
  save_onnx(graph, path("odd.onnx"));
  save_npy(Tensor(DType::f32, {4, 4}), path("x.npy"));
  const auto result = nibble("run odd.onnx --input x=x.npy");
  EXPECT_EQ(result.status, 1);
  for (const char* part : {"com.microsoft::MatMulBnb4 (node 'fused'", "MatMul", "Softmaxx",
                           "node 'odd'", "Softmax", "`nibble ops`"}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << ": " << result.err;
  }
  EXPECT_LT(result.err.size(), 500U) << result.err;
}

TEST_F(bad_input, an_unwritable_place_is_noticed_before_the_work) {
  expect_failure("quantize float.onnx --data digits -o missing/out.onnx", 1,
                 {"missing", "does not exist"});
}

}  // namespace
}  // namespace nibble
