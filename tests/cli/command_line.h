// Runs the real program as a user's shell would, in a folder of its own.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "support/paths.h"

namespace nibble::testing {

struct CommandResult {
  int status = -1;
  std::string out;
  std::string err;
};

class CommandLine : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "nibble-cli-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string program() { return (binary_dir() / "bin" / "nibble").string(); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// `before` is shell code put in front (a ulimit, say).
  CommandResult nibble(const std::string& arguments, const std::string& before = "") const {
    const std::string command = before + " cd '" + folder_.string() + "' && '" + program() + "' " +
                                arguments + " >stdout.txt 2>stderr.txt </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder_ / "stdout.txt"),
            read_file(folder_ / "stderr.txt")};
  }

  nlohmann::json json(const std::string& arguments) const {
    const CommandResult result = nibble(arguments + " --json");
    EXPECT_EQ(result.status, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }

  /// The command must fail with `status` and one sentence holding each of `parts`.
  void expect_failure(const std::string& arguments, int status,
                      std::initializer_list<std::string> parts,
                      const std::string& before = "") const {
    const CommandResult result = nibble(arguments, before);
    EXPECT_EQ(result.status, status) << arguments << "\n" << result.err;
    for (const std::string& part : parts) {
      EXPECT_NE(result.err.find(part), std::string::npos)
          << "'" << part << "' is not in: " << result.err;
    }
    if (status == 1) {
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    }
  }

  std::filesystem::path folder_;
};

}  // namespace nibble::testing
