// Where samples come from: --data, --input, --carry and what goes with them.
#include <charconv>

#include "base/check.h"
#include "cli/command.h"

namespace nibble::cli {
namespace {

// By input, as Carry is.
Carry parse_carry(const std::vector<std::string>& arguments) {
  Carry carry;
  for (const std::string& argument : arguments) {
    const auto [output, input] = split_assignment(argument, "--carry", "OUTPUT=INPUT");
    if (!carry.emplace(input, output).second) {
      fail(ErrorCode::invalid_argument, "--carry gives the input '{}' twice", input);
    }
  }
  return carry;
}

std::map<std::string, std::string> parse_sources(const std::vector<std::string>& arguments) {
  std::map<std::string, std::string> sources;
  for (const std::string& argument : arguments) {
    auto [input, source] = split_assignment(argument, "--input", "NAME=ARRAY or NAME=FILE");
    if (!sources.emplace(input, std::move(source)).second) {
      fail(ErrorCode::invalid_argument, "--input gives '{}' twice", input);
    }
  }
  return sources;
}

}  // namespace

std::pair<std::string, std::string> split_assignment(const std::string& text, std::string_view flag,
                                                     std::string_view expected) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    fail(ErrorCode::invalid_argument, "{} {}: expected {}", flag, text, expected);
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<int64_t> parse_extents(std::string_view text, std::string_view flag) {
  std::vector<int64_t> extents;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find_first_of("x,", begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    int64_t extent = 0;
    const auto [at, error] = std::from_chars(part.data(), part.data() + part.size(), extent);
    if (error != std::errc() || at != part.data() + part.size() || extent < 1 ||
        extent > INT32_MAX) {
      fail(ErrorCode::invalid_argument, "{} {}: '{}' is not an extent", flag, text, part);
    }
    extents.push_back(extent);
    begin = end + 1;
  }
  return extents;
}

void declare_carry(CLI::App& app, std::vector<std::string>& carry) {
  app.add_option("--carry", carry,
                 "A state: the output is the input for the next sample; repeatable")
      ->type_name("OUTPUT=INPUT")
      ->expected(1)
      ->take_all();
}

void settle_states(std::span<Graph> models, const std::vector<std::string>& arguments) {
  settle_states(models, parse_carry(arguments));
}

void DataArguments::declare(CLI::App& app) {
  app.add_option("--data", spec,
                 "Samples: digits, a folder of pictures (classes as folders), labels.csv, IDX or "
                 "CIFAR-10 files, .npy and .npz arrays, test vectors, WAV, CSV, JSON lines; see "
                 "docs/data.md")
      ->type_name("DATA");
  app.add_option("--input", inputs,
                 "What an input of the model gets: NAME=ARRAY of the data under another name, "
                 "NAME=FILE (.npy, .pb) with one row per sample or the same for all, or "
                 "NAME=NUMBER, the same for all; repeatable")
      ->type_name("NAME=ARRAY|FILE|NUMBER")
      ->expected(1)
      ->take_all();
  declare_carry(app, carry);
  add_option(app,
             {.flag = "--frame",
              .help = "Sound is cut into frames of this many points (0: as the model's input says)",
              .least = 0},
             frame);
  add_option(app,
             {.flag = "--hop",
              .help = "Points from the start of a frame to that of the next (0: a frame's length)",
              .least = 0},
             hop);
  preprocess.declare(app);
}

SampleSource DataArguments::source() const {
  SampleSource source{.spec = spec,
                      .sources = parse_sources(inputs),
                      .carry = parse_carry(carry),
                      .frame = frame,
                      .hop = hop};
  if (preprocess.given()) {
    source.preprocess = [wanted = preprocess](Preprocess usual) {
      return wanted.over(std::move(usual));
    };
  }
  source.opened = [spec = spec](Split split, const Dataset& data) {
    run_record().note_data(spec, split, data);
  };
  return source;
}

}  // namespace nibble::cli
