// What every command shares: the table of commands, the common options (each declared once), output
// in text or JSON.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/option_flags.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/run_record.h"
#include "nibble/choice.h"
#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "verbs/job.h"
#include "verbs/samples.h"

namespace nibble::cli {

inline const OptionSpec kJsonOption{.flag = "--json", .help = "Print the result as JSON on stdout"};

/// --json, --threads, --seed; and --run, of commands that measure.
struct CommonOptions {
  bool json = false;
  int threads = 0;
  uint64_t seed = 0;
  void declare(CLI::App& app, bool measures = true);
  RunSettings settings(ProgressSink* progress) const {
    return {.threads = threads, .seed = seed, .progress = progress, .ranks = job_ranks()};
  }
};

/// --preprocess, --resize, --letterbox, --pad-value, --crop, --color, --layout, --scale, --mean,
/// --std: how images become inputs.
struct PreprocessOptions {
  std::string file;
  std::string resize;
  std::string letterbox;
  std::optional<int> pad_value;
  std::string layout;
  std::string crop;
  std::string color;
  std::optional<float> scale;
  std::vector<float> mean;
  std::vector<float> std;
  void declare(CLI::App& app);
  bool given() const;
  /// `base` with what the JSON file (as a whole) and the flags (each for itself) say.
  Preprocess over(Preprocess base) const;
};

/// --data SPEC, --input NAME=ARRAY_OR_FILE, --carry OUTPUT=INPUT, --frame, --hop, and the
/// preprocessing above.
struct DataArguments {
  std::string spec;
  std::vector<std::string> inputs;
  std::vector<std::string> carry;
  int64_t frame = 0;
  int64_t hop = 0;
  PreprocessOptions preprocess;
  void declare(CLI::App& app);
  /// There is something to open: --data or --input.
  bool given() const { return !spec.empty() || !inputs.empty(); }
  /// What is opened is noted in the record. Throws Error{invalid_argument} for what is malformed.
  SampleSource source() const;
};

/// --carry OUTPUT=INPUT, repeatable.
void declare_carry(CLI::App& app, std::vector<std::string>& carry);
/// --shape NAME=NxN, repeatable.
void declare_shapes(CLI::App& app, std::vector<std::string>& shapes);
/// What --shape gave, by input. Throws Error{invalid_argument} for what is malformed or twice.
std::map<std::string, Shape> input_shapes(const std::vector<std::string>& arguments);
/// Throws Error{invalid_argument} for a name that is an input of none of the models.
void check_shapes(const std::map<std::string, Shape>& shapes, std::span<const Graph> graphs);
/// Writes states into the models (store_carry()): those of --carry, else those that the first model
/// has that stores some, into the others that have such inputs and outputs. Throws
/// Error{invalid_argument} if a --carry is malformed or does not fit.
void settle_states(std::span<Graph> models, const std::vector<std::string>& carry);

/// "NAME=REST": the two sides of the first '='. Throws Error{invalid_argument} that names the flag
/// and what was `expected` if one of them is empty.
std::pair<std::string, std::string> split_assignment(const std::string& text, std::string_view flag,
                                                     std::string_view expected);
/// "1x3x224x224" or "1,3,224,224". Throws Error{invalid_argument} that names the flag for what is
/// no list of extents, each from 1.
std::vector<int64_t> parse_extents(std::string_view text, std::string_view flag);

/// Who runs a command that was started as several ranks.
enum class RunBy : uint8_t {
  first,  // rank 0; the others have nothing to do
  all,    // together
  each,   // for itself
};

/// A command: one row is all that help, lists and errors know of it. Declares its options on `app`
/// and returns what runs it.
struct CommandRow {
  std::string_view name;
  std::string_view summary;
  std::string_view example;
  std::function<int()> (*declare)(CLI::App& app);
  RunBy run_by = RunBy::first;
};
std::span<const CommandRow> commands();

// One per file cmd_NAME.cpp.
std::function<int()> declare_inspect(CLI::App& app);
std::function<int()> declare_check(CLI::App& app);
std::function<int()> declare_train(CLI::App& app);
std::function<int()> declare_analyze(CLI::App& app);
std::function<int()> declare_quantize(CLI::App& app);
std::function<int()> declare_qat(CLI::App& app);
std::function<int()> declare_finetune(CLI::App& app);
std::function<int()> declare_eval(CLI::App& app);
std::function<int()> declare_compare(CLI::App& app);
std::function<int()> declare_run(CLI::App& app);
std::function<int()> declare_ops(CLI::App& app);
std::function<int()> declare_bench(CLI::App& app);
std::function<int()> declare_profile(CLI::App& app);
std::function<int()> declare_demo(CLI::App& app);
std::function<int()> declare_new(CLI::App& app);
std::function<int()> declare_report(CLI::App& app);
std::function<int()> declare_launch(CLI::App& app);
std::function<int()> declare_provenance(CLI::App& app);
std::function<int()> declare_reproduce(CLI::App& app);

/// load_onnx(), for the record.
Graph load_model(const std::string& path);

/// Writes the model as save_onnx() does; the bytes of the file. (A device or a pipe has no size.)
uint64_t save_model(const Graph& graph, const std::string& path,
                    const Target& target = default_target());
/// --run FOLDER.
void declare_run_folder(CLI::App& app);

/// "8.87 MB", or "?" for a device or a pipe.
std::string size_text(const std::string& path);

/// --target, of commands without the table of quantization.
void declare_target(CLI::App& app, std::string& target);
/// --arithmetic.
void declare_arithmetic(CLI::App& app, Arithmetic& arithmetic);

}  // namespace nibble::cli
