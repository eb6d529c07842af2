// A run: the folder in which commands leave what they measured, step by step, for a report.
// docs/report.md describes the files.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

/// Files of another schema are refused. It changes when a reader of the old one would misread the
/// new one; new keys do not change it.
constexpr int kRunSchema = 1;

/// What one command measured.
struct RunStep {
  std::string verb;                   // "eval"
  nlohmann::ordered_json provenance;  // of what, by whom, where and when
  nlohmann::ordered_json result;      // what --json prints
  std::string file;                   // that it was read from; empty for one of this process
};

/// Leaves the step in `folder` as NN-VERB.json, NN being the next number; the file is there whole
/// or not at all, and commands that run at once get files of their own. Returns the file. Throws
/// Error{io}.
std::filesystem::path write_step(const std::filesystem::path& folder, const RunStep& step);

/// The steps in `folder`, by number. Throws Error{io} if it cannot be read, Error{invalid_data} if
/// it holds no step, or one that is damaged or of another schema; both name the file.
std::vector<RunStep> read_run(const std::filesystem::path& folder);

}  // namespace nibble
#pragma GCC visibility pop
