// Bad input: one clear sentence, the right exit code, and every existing file as it was.
#include <fstream>

#include "cli/command_line.h"
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
  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
};

TEST_F(bad_input, every_command_explains_itself_with_an_example) {
  for (const char* command : {"inspect", "train", "analyze", "quantize", "qat", "finetune", "eval",
                              "compare", "run", "bench", "demo"}) {
    const auto result = nibble(std::string(command) + " --help");
    EXPECT_EQ(result.status, 0);
    EXPECT_NE(result.out.find("Example:\n  nibble " + std::string(command)), std::string::npos)
        << result.out;
    for (const char* option : {"--json", "--threads", "--seed"}) {
      EXPECT_NE(result.out.find(option), std::string::npos) << command << " has no " << option;
    }
  }
}

TEST_F(bad_input, wrong_usage_is_exit_code_2) {
  expect_failure("", 2, {"subcommand"});
  expect_failure("frobnicate", 2, {"frobnicate"});
  expect_failure("inspect float.onnx --colour", 2, {"--colour"});
  expect_failure("quantize float.onnx --data digits -o x.onnx --weights 5", 2, {"--weights"});
  expect_failure("eval float.onnx --data digits --batch zero", 2, {"--batch"});
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
  expect_failure("quantize float.onnx --data data -o out.onnx --resize 8,8", 1, {"broken.jpg"});
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

TEST_F(bad_input, an_unwritable_place_is_noticed_before_the_work) {
  expect_failure("quantize float.onnx --data digits -o missing/out.onnx", 1,
                 {"missing", "does not exist"});
}

}  // namespace
}  // namespace nibble
