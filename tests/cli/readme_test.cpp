// What README.md shows is what works: its C++ is compiled and run here, and its commands name real
// verbs and options.
#include <regex>
#include <sstream>

#include "cli/command_line.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "nibble/train.h"

namespace nibble {
namespace {

// The fenced blocks of README.md in `language`, each as one string.
std::vector<std::string> blocks(const std::string& language) {
  std::istringstream readme(read_file(testing::source_dir() / "README.md"));
  std::vector<std::string> found;
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line == "```" + language) {
      inside = true;
      found.emplace_back();
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      found.back() += line + "\n";
    }
  }
  return found;
}

// Words without white space and line breaks, so that indentation does not count.
std::string squeezed(const std::string& text) {
  return std::regex_replace(text, std::regex("\\s+"), "");
}

class readme : public testing::CommandLine {};

TEST_F(readme, the_library_example_compiles_and_runs) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  save_onnx(build_architecture("digits-cnn", {1, 8, 8}, 10, 1), "model.onnx");
  std::string example = blocks("cpp").at(0);
  // clang-format off
  nibble::Graph graph = nibble::prepare_for_quantization(nibble::load_onnx("model.onnx"));
  auto data = nibble::open_dataset("digits", {.split = nibble::Split::train});
  nibble::RangeReport ranges = nibble::analyze(graph, *data);
  nibble::Graph small = nibble::quantize(graph, ranges, {.fallback = {.weight_bits = 8, .activation_bits = 8}});
  nibble::save_onnx(small, "small.onnx");
  nibble::Program program = nibble::compile(small, {.threads = 2});
  // clang-format on
  EXPECT_LT(std::filesystem::file_size("small.onnx"), std::filesystem::file_size("model.onnx"));
  std::filesystem::current_path(before);

  // The lines above, as they stand in this file, are the example's.
  const std::string here = read_file(testing::source_dir() / "tests/cli/readme_test.cpp");
  std::istringstream lines(example);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#include")) continue;
    EXPECT_NE(squeezed(here).find(squeezed(line)), std::string::npos) << line;
  }
}

TEST_F(readme, its_commands_name_real_verbs_and_options) {
  int seen = 0;
  for (const std::string& block : blocks("sh")) {
    std::istringstream lines(block);
    for (std::string line; std::getline(lines, line);) {
      line = line.substr(0, line.find('#'));
      std::istringstream words(line);
      std::string program, verb;
      if (!(words >> program >> verb) || program != "nibble") continue;
      ++seen;
      const auto help = nibble(verb + " --help");
      ASSERT_EQ(help.status, 0) << line;
      for (std::string word; words >> word;) {
        if (word.starts_with("-")) {
          EXPECT_NE(help.out.find(word), std::string::npos) << line;
        }
      }
    }
  }
  EXPECT_GT(seen, 10);
}

}  // namespace
}  // namespace nibble
