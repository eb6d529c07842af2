// Runs ONNX's own operator tests: each is a model with inputs and the outputs it must give.
//
//   test_conformance             all of them, against the list not_passed.txt
//   test_conformance NAME...     those whose name contains a NAME, with the message of each
//   test_conformance --failing   one line for each that does not pass: "name: message"
//
// Tolerances are those of ONNX's own runner: |have - want| <= 1e-7 + 1e-3 |want|.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "conformance/tar.h"
#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "support/shared_files.h"

namespace nibble::testing {
namespace {

constexpr double kRelative = 1e-3;
constexpr double kAbsolute = 1e-7;

using Files = std::map<std::string, std::string>;

// Test name -> file name within the test -> contents.
std::map<std::string, Files> read_tests(const std::filesystem::path& archive) {
  std::map<std::string, Files> tests;
  for (auto& [path, contents] : read_tar_gz(archive)) {
    const size_t first = path.find('/');
    const size_t second = path.find('/', first + 1);
    if (second == std::string::npos) continue;
    tests[path.substr(first + 1, second - first - 1)][path.substr(second + 1)] =
        std::move(contents);
  }
  return tests;
}

std::string describe_type(const Tensor& tensor) {
  return std::string(name_of(tensor.dtype())) + tensor.shape().to_string();
}

// Empty if `have` is close enough to `want`.
std::string difference(const Tensor& have, const Tensor& want) {
  if (have.dtype() != want.dtype() || !(have.shape() == want.shape())) {
    return "it is " + describe_type(have) + ", not " + describe_type(want);
  }
  const Tensor a = convert(have, DType::f64);
  const Tensor b = convert(want, DType::f64);
  for (int64_t i = 0; i < a.elements(); ++i) {
    const double x = a.data<double>()[static_cast<size_t>(i)];
    const double y = b.data<double>()[static_cast<size_t>(i)];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    if (!(std::abs(x - y) <= kAbsolute + kRelative * std::abs(y)) || std::isinf(y)) {
      return "element " + std::to_string(i) + " is " + std::to_string(x) + ", not " +
             std::to_string(y);
    }
  }
  return {};
}

std::vector<Tensor> read_tensors(const Files& files, const std::string& prefix) {
  std::vector<Tensor> tensors;
  for (;;) {
    const auto it = files.find(prefix + std::to_string(tensors.size()) + ".pb");
    if (it == files.end()) return tensors;
    tensors.push_back(parse_tensor_proto(it->second));
  }
}

void require_tensors(const Graph& graph, const std::vector<ValueId>& values) {
  for (ValueId id : values) {
    if (graph.value(id).type.dtype == DType::undefined) {
      throw Error(ErrorCode::unsupported,
                  "'" + graph.value(id).name + "' is not a tensor of an element type Nibble has");
    }
  }
}

// Empty if the test passes, else what went wrong.
std::string run_test(const Files& files) {
  try {
    const Graph graph = parse_onnx(files.at("model.onnx"));
    require_tensors(graph, graph.inputs);
    require_tensors(graph, graph.outputs);
    Program program = compile(graph);
    int set = 0;
    for (; files.contains("test_data_set_" + std::to_string(set) + "/output_0.pb"); ++set) {
      const std::string folder = "test_data_set_" + std::to_string(set) + "/";
      const std::vector<Tensor> wanted = read_tensors(files, folder + "output_");
      const auto results = program.run(read_tensors(files, folder + "input_"));
      if (results.size() != wanted.size()) return "wrong number of outputs";
      for (size_t i = 0; i < wanted.size(); ++i) {
        const std::string message = difference(results[i], wanted[i]);
        if (!message.empty()) return "output '" + program.output_names()[i] + "': " + message;
      }
    }
    return set > 0 ? "" : "it has no data to compare with";
  } catch (const std::exception& error) {
    return error.what();
  }
}

// "name: reason" lines; '#' starts a comment.
std::map<std::string, std::string> read_not_passed() {
  const auto path = testing::source_dir() / "tests" / "conformance" / "not_passed.txt";
  std::ifstream file(path);
  std::map<std::string, std::string> reasons;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    reasons[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return reasons;
}

TEST(conformance, every_test_passes_or_is_listed_with_its_reason) {
  NIBBLE_SHARED_FILE(archive, "onnx-node-tests.tar.gz");
  const auto not_passed = read_not_passed();
  const auto tests = read_tests(archive);
  int passed = 0;
  for (const auto& [name, files] : tests) {
    const std::string message = run_test(files);
    if (message.empty()) ++passed;
    if (message.empty() == not_passed.contains(name)) {
      ADD_FAILURE() << name << (message.empty() ? " passes, but is listed" : ": " + message);
    }
  }
  for (const auto& [name, reason] : not_passed) {
    EXPECT_TRUE(tests.contains(name)) << name << " is listed, but there is no such test";
  }
  std::printf("%d of %zu conformance tests pass\n", passed, tests.size());
  EXPECT_GE(passed, 650);
}

// Returns the exit code.
int run_by_hand(const std::vector<std::string>& patterns, bool only_failing) {
  int failed = 0;
  size_t count = 0;
  for (const auto& [name, files] : read_tests(find_shared("onnx-node-tests.tar.gz"))) {
    bool chosen = only_failing;
    for (const std::string& pattern : patterns) {
      chosen = chosen || name.find(pattern) != std::string::npos;
    }
    if (!chosen) continue;
    ++count;
    const std::string message = run_test(files);
    if (!message.empty()) ++failed;
    if (message.empty() && only_failing) continue;
    std::printf("%s: %s\n", name.c_str(), message.empty() ? "passes" : message.c_str());
    std::fflush(stdout);
  }
  std::fprintf(stderr, "%zu of %zu pass\n", count - static_cast<size_t>(failed), count);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace nibble::testing

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return RUN_ALL_TESTS();
  return nibble::testing::run_by_hand(arguments, arguments[0] == "--failing");
}
