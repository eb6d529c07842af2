// What a command measured goes to all who want it: stdout, the run folder of --run, a report.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "cli/output.h"
#include "nibble/data.h"
#include "report/run_folder.h"

namespace nibble::cli {

struct CommonOptions;

/// The steps that this process measured, each with what it read, wrote and ran on. Where nobody
/// asked for a record, it costs nothing.
class RunRecord {
 public:
  /// As the shell gave it.
  void set_command(int argc, const char* const* argv);
  /// Steps go into this folder, which check_folder() makes.
  void set_folder(std::string folder) { folder_ = std::move(folder); }
  /// Before the work: throws Error{io} if no step could be written.
  void check_folder() const;
  /// Steps are kept for a report, with or without a folder.
  void keep() { kept_ = true; }
  bool wanted() const { return kept_ || !folder_.empty(); }
  const std::string& folder() const { return folder_; }

  /// A file that the step at hand reads, or has written.
  void note_model(std::string_view role, const std::string& path);
  void note_data(const std::string& spec, Split split, const Dataset& data);
  /// Another step begins, with models and data of its own.
  void begin_step();

  /// What `verb` measured, as its --json prints it.
  void add(std::string_view verb, const Json& result, const CommonOptions& common);
  const std::vector<RunStep>& steps() const { return steps_; }

 private:
  std::string folder_;
  bool kept_ = false;
  Json command_ = Json::array();
  Json models_ = Json::array();
  Json data_ = Json::array();
  std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
  std::chrono::steady_clock::time_point clock_ = std::chrono::steady_clock::now();
  std::vector<RunStep> steps_;
};

/// Of this process, which runs one command.
RunRecord& run_record();

/// The one way in which a command that measures gives its result: recorded, then printed, as JSON
/// or by `text`.
void present(std::string_view verb, const Json& result, const CommonOptions& common,
             const std::function<void()>& text);

}  // namespace nibble::cli
