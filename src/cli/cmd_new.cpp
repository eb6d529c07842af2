// nibble new: a project of one's own, made from the folder template/ of the repository, which is
// part of the program.
#include <filesystem>
#include <sstream>

#include "base/check.h"
#include "base/embedded.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "nibble/onnx.h"
#include "passes/insert_qdq.h"

namespace nibble {
std::span<const EmbeddedFile> project_template();
}

namespace nibble::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNotebook = "notebook.ipynb";

struct Arguments {
  std::string folder;
  std::string model;
  std::string from = "tutorial";
  DataArguments data;
  CommonOptions common;
  std::vector<const CLI::Option*> data_flags;  // all but --data
};

// As one word of the shell.
std::string quoted(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-+=:,./%@") == std::string::npos;
  if (plain) return text;
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// What names a file or folder that there is, from anywhere: the project may be somewhere else.
std::string from_anywhere(const std::string& text) {
  std::error_code error;
  if (!text.empty() && fs::exists(text, error))
    return fs::absolute(text).lexically_normal().string();
  return text;
}

// "X.npy,Y.npy": each of them.
std::string data_from_anywhere(const std::string& spec) {
  if (from_anywhere(spec) != spec) return from_anywhere(spec);
  std::string result;
  std::istringstream parts(spec);
  for (std::string part; std::getline(parts, part, ',');) {
    result += (result.empty() ? "" : ",") + from_anywhere(part);
  }
  return result;
}

// The flags as they were given, for a shell.
std::string flags_text(const Arguments& arguments) {
  std::string text;
  for (const CLI::Option* option : arguments.data_flags) {
    for (const std::string& result : option->results()) {
      const size_t equals = result.find('=');  // --input NAME=FILE
      const std::string value =
          equals == std::string::npos
              ? from_anywhere(result)
              : result.substr(0, equals + 1) + from_anywhere(result.substr(equals + 1));
      text += fmt::format("{}{} {}", text.empty() ? "" : " ", option->get_name(), quoted(value));
    }
  }
  return text;
}

// What project.conf says of this project, by variable; the others stay as they are.
using Settings = std::map<std::string, std::string>;

// How a network for these samples is trained, where no model is given.
void choose_architecture(const Arguments& arguments, Settings& settings) {
  const auto data = arguments.data.source().open(Split::train, nullptr, arguments.common.seed);
  if (data->classes() == 0) {
    fail(ErrorCode::invalid_argument,
         "{} has no labels, so there is nothing to train a network on: give one with --model",
         data->describe());
  }
  const auto fields = data->fields();
  const Shape shape = fields.empty() ? Shape{} : fields[0].shape;
  const bool small = shape == Shape{1, 8, 8};
  const bool two = data->classes() == 2;
  settings["TRAIN_FLAGS"] = small ? "--arch digits-cnn"
                            : two ? "--arch catdog-cnn"
                                  : "--arch resnet20";
  if (!small && arguments.data_flags.empty()) {
    settings["DATA_FLAGS"] = two ? "--resize 150x150" : "--resize 32x32";
  }
}

// A file of the template, as this project has it.
std::string adapted(std::string text, const fs::path& path, const Arguments& arguments,
                    const Settings& settings) {
  if (path == "README.md") {
    text =
        fmt::format("# {}{}", fs::absolute(arguments.folder).lexically_normal().filename().string(),
                    text.substr(text.find('\n')));
  }
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (arguments.from == "minimal" && line.find(kNotebook) != std::string::npos) continue;
    const size_t equals = line.find('=');
    const auto setting = path == "project.conf" && equals != std::string::npos
                             ? settings.find(line.substr(0, equals))
                             : settings.end();
    result += setting == settings.end()
                  ? line
                  : fmt::format("{}={}", setting->first, quoted(setting->second));
    result += '\n';
  }
  return result;
}

void write_project(const Arguments& arguments, const Settings& settings, const fs::path& folder) {
  for (const EmbeddedFile& file : project_template()) {
    if (arguments.from == "minimal" && file.path == kNotebook) continue;
    const fs::path path = folder / file.path;
    make_folder(path.parent_path().string());
    const std::string text(file.bytes.begin(), file.bytes.end());
    write_file(path, adapted(text, file.path, arguments, settings));
    if (file.executable) {
      fs::permissions(path, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                      fs::perm_options::add);
    }
  }
  if (!arguments.model.empty()) {
    // Written anew rather than copied: its constants may lie in other files.
    save_model(load_onnx(arguments.model), (folder / settings.at("MODEL")).string());
  }
}

int run(const Arguments& arguments) {
  const fs::path folder = arguments.folder;
  if (fs::exists(folder)) {
    fail(ErrorCode::invalid_argument, "{} is there already: name a folder that is not",
         folder.string());
  }
  Settings settings;
  if (!arguments.model.empty()) {
    std::vector<Graph> models = {load_onnx(arguments.model)};
    if (is_quantized(models[0])) {
      fail(ErrorCode::invalid_argument,
           "{} is quantized already; a project starts from the float model", arguments.model);
    }
    if (!arguments.data.given()) {
      fail(ErrorCode::invalid_argument,
           "name the samples that {} is to be quantized and judged on, with --data",
           arguments.model);
    }
    const SampleSource source = arguments.data.source();
    source.settle(models);
    source.open(Split::train, models.data(), arguments.common.seed);  // they must fit
    settings["MODEL"] = "models/float.onnx";
  } else if (arguments.data.given()) {
    choose_architecture(arguments, settings);
  }
  if (arguments.data.given()) settings["DATA"] = data_from_anywhere(arguments.data.spec);
  if (!arguments.data_flags.empty()) settings["DATA_FLAGS"] = flags_text(arguments);

  // Complete or not there at all.
  const fs::path parent = fs::absolute(folder).lexically_normal().parent_path();
  make_folder(parent.string());
  const fs::path draft = parent / fmt::format(".{}.new", folder.filename().string());
  fs::remove_all(draft);
  try {
    write_project(arguments, settings, draft);
    fs::rename(draft, folder);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(draft, ignored);
    throw;
  }
  if (arguments.common.json) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file())
        files.push_back(entry.path().lexically_relative(folder).string());
    }
    std::sort(files.begin(), files.end());
    print_json({{"folder", folder.string()}, {"files", files}});
    return 0;
  }
  tell(
      "{} is ready. README.md says what is in it; to begin:\n\n  cd {}\n  ./run quantize\n  ./run "
      "evaluate\n  ./run test\n",
      folder.string(), quoted(folder.string()));
  return 0;
}

}  // namespace

std::function<int()> declare_new(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("FOLDER", arguments->folder, "The folder to make; its name is the project's")
      ->type_name("NAME")
      ->required();
  app.add_option("--model", arguments->model, "Your float model; without it the project trains one")
      ->type_name("FILE");
  add_option(app,
             {.flag = "--from",
              .help = "What to start with",
              .choices = {{"tutorial", "with a notebook that does and explains every step"},
                          {"minimal", "without it"}}},
             arguments->from);
  arguments->data.declare(app);
  auto options = std::make_shared<std::vector<const CLI::Option*>>();
  for (const CLI::Option* option : std::as_const(app).get_options()) options->push_back(option);
  arguments->common.declare(app, false);
  return [arguments, options] {
    for (const CLI::Option* option : *options) {
      const std::string name = option->get_name();
      const bool other = name == "FOLDER" || name == "--model" || name == "--from" ||
                         name == "--data" || name == "--help" || name == "-h,--help";
      if (!other && option->count() > 0) arguments->data_flags.push_back(option);
    }
    return run(*arguments);
  };
}

}  // namespace nibble::cli
