// What every command shares: the table of commands, the common options (each declared once), output
// in text or JSON.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/progress_bar.h"
#include "nibble/choice.h"
#include "nibble/data.h"
#include "nibble/graph.h"

namespace nibble::cli {

using Json = nlohmann::ordered_json;

/// --json, --threads, --seed.
struct CommonOptions {
  bool json = false;
  int threads = 0;
  uint64_t seed = 0;
  void declare(CLI::App& app);
};

/// --preprocess, --resize, --crop, --color, --scale, --mean, --std: how images become inputs.
struct PreprocessOptions {
  std::string file;
  std::vector<int> resize;
  std::vector<int> crop;
  std::string color;
  float scale = 0;
  std::vector<float> mean;
  std::vector<float> std;
  void declare(CLI::App& app);
  bool given() const;
  /// `base` with what the JSON file (as a whole) and the flags (each for itself) say.
  Preprocess over(Preprocess base) const;
};

/// --data SPEC with the preprocessing above.
struct DataArguments {
  std::string spec;
  PreprocessOptions preprocess;
  void declare(CLI::App& app);
  /// Opens one split, preprocessed as the flags say, else as the model stores it, else as is usual
  /// for this data; checks that the samples fit the model's first input.
  std::shared_ptr<const Dataset> open(Split split, const Graph* model, uint64_t seed) const;
};

/// A command: declares its options on `app` and returns what runs it.
struct CommandRow {
  std::string_view name;
  std::string_view summary;
  std::string_view example;
  std::function<int()> (*declare)(CLI::App& app);
};
std::span<const CommandRow> commands();

// One per file cmd_NAME.cpp.
std::function<int()> declare_inspect(CLI::App& app);
std::function<int()> declare_train(CLI::App& app);
std::function<int()> declare_analyze(CLI::App& app);
std::function<int()> declare_quantize(CLI::App& app);
std::function<int()> declare_qat(CLI::App& app);
std::function<int()> declare_finetune(CLI::App& app);
std::function<int()> declare_eval(CLI::App& app);
std::function<int()> declare_compare(CLI::App& app);
std::function<int()> declare_run(CLI::App& app);
std::function<int()> declare_bench(CLI::App& app);
std::function<int()> declare_demo(CLI::App& app);

/// The model remembers how the samples it was made with were preprocessed.
void store_preprocess_of(Graph& graph, const Dataset& dataset);

/// Some value of the graph has a quantized type.
bool is_quantized(const Graph& graph);

/// The names of a table's rows, for CLI11's list of what is accepted.
std::vector<std::string> names_of(const std::vector<Choice>& choices);
/// "What it is: a (summary), b (summary); default a"
std::string describe_choices(const std::string& what, const std::vector<Choice>& choices,
                             const std::string& usual);

/// Accepts numbers above zero (CLI11's own message prints the largest double there is).
CLI::Validator positive();

/// Pretty JSON and a line end on stdout.
void print_json(const Json& json);
/// Width of the terminal on stdout; 0 (no limit) where it is not one.
int output_columns();
/// Fails early with Error{io} if a file cannot be created at `path`, before hours are spent on its
/// content.
void check_writable(const std::string& path);

}  // namespace nibble::cli
