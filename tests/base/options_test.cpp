// Options declared once: from flags and from JSON, with help and error messages of the same row.
#include "base/options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/option_rows.h"
#include "nibble/error.h"

namespace nibble {
namespace {

enum class Colour { red, green };

struct Part {
  int bits = 8;
};

struct Settings {
  int count = 3;
  double rate = 0.5;
  bool fast = true;
  Colour colour = Colour::green;
  std::string file;
  std::vector<std::string> skip;
  std::optional<double> share;
  std::optional<int64_t> bytes;
  Part part;
};

std::span<const OptionRow<Part>> part_rows() {
  static const std::vector<OptionRow<Part>> rows = {choice_option<Part, int>(
      {.flag = "--bits", .key = "bits", .help = "Bits"}, {{"8", 8}, {"4", 4}, {"none", 0}},
      [](auto& p) -> auto& { return p.bits; })};
  return rows;
}

std::span<const OptionRow<Settings>> rows() {
  using S = Settings;
  static const std::vector<OptionRow<S>> table = {
      option<S>(
          {.flag = "--count", .key = "count", .help = "Rounds", .least = 1, .most = 9},
          [](auto& s) -> auto& { return s.count; }),
      option<S>(
          {.flag = "--rate", .key = "rate", .help = "Rate", .above = 0},
          [](auto& s) -> auto& { return s.rate; }),
      option<S>(
          {.flag = "--slow", .key = "fast", .help = "Take time", .flag_value = false},
          [](auto& s) -> auto& { return s.fast; }),
      choice_option<S, Colour>(
          {.flag = "--colour", .key = "colour", .help = "Colour"},
          {{"red", Colour::red}, {"green", Colour::green}},
          [](auto& s) -> auto& { return s.colour; }),
      option<S>(
          {.flag = "--file", .key = "file", .help = "File"},
          [](auto& s) -> auto& { return s.file; }),
      option<S>(
          {.flag = "--skip", .key = "skip", .help = "Nodes"},
          [](auto& s) -> auto& { return s.skip; }),
      option<S>(
          {.flag = "--share", .key = "share", .help = "Share", .one_of = "budget"},
          [](auto& s) -> auto& { return s.share; }),
      option<S>(
          {.flag = "--size", .key = "bytes", .help = "Size", .one_of = "budget"},
          [](auto& s) -> auto& { return s.bytes; }),
      option_of_part<S>(
          part_rows()[0], [](auto& s) -> auto& { return s.part; }),
  };
  return table;
}

const OptionRow<Settings>& row(std::string_view key) {
  for (const auto& candidate : rows()) {
    if (candidate.spec.key == key) return candidate;
  }
  throw std::logic_error("no such row");
}

Settings from_json(const std::string& text) {
  Settings settings;
  apply_options(options_from_json(nlohmann::ordered_json::parse(text), rows()), rows(), settings);
  return settings;
}

Settings from_flag(std::string_view key, const std::string& word) {
  Settings settings;
  const GivenOptions<Settings> given = {{&row(key), parse_option(row(key).spec, {word})}};
  apply_options(given, rows(), settings);
  return settings;
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.what();
  }
  return "accepted";
}

TEST(options, are_read_from_json_by_type) {
  const Settings s = from_json(R"({"count": 5, "rate": 2, "fast": false, "colour": "red",
      "file": "x", "skip": ["a", "b"], "share": 0.25, "bits": 4})");
  EXPECT_EQ(s.count, 5);
  EXPECT_EQ(s.rate, 2.0);
  EXPECT_FALSE(s.fast);
  EXPECT_EQ(s.colour, Colour::red);
  EXPECT_EQ(s.file, "x");
  EXPECT_EQ(s.skip, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.share, 0.25);
  EXPECT_EQ(s.part.bits, 4);
  EXPECT_EQ(from_json(R"({"bits": "none"})").part.bits, 0);
}

TEST(options, are_read_from_flags_by_type) {
  EXPECT_EQ(from_flag("count", "5").count, 5);
  EXPECT_EQ(from_flag("rate", "1e-3").rate, 1e-3);
  EXPECT_FALSE(from_flag("fast", "").fast);
  EXPECT_EQ(from_flag("skip", "a,b").skip, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(from_flag("bits", "none").part.bits, 0);
  EXPECT_EQ(from_flag("bytes", "5000000000").bytes, 5000000000);
}

TEST(options, refuse_what_is_out_of_range_or_of_another_kind) {
  EXPECT_EQ(refusal([] { from_flag("count", "0"); }),
            "--count cannot be 0: expected a whole number from 1 to 9");
  EXPECT_EQ(refusal([] { from_flag("count", "3.5"); }),
            "--count cannot be 3.5: expected a whole number from 1 to 9");
  EXPECT_EQ(refusal([] { from_flag("count", ""); }),
            "--count cannot be : expected a whole number from 1 to 9");
  EXPECT_EQ(refusal([] { from_flag("rate", "0"); }),
            "--rate cannot be 0: expected a number above 0");
  EXPECT_EQ(refusal([] { from_flag("rate", "nan"); }),
            "--rate cannot be nan: expected a number above 0");
  EXPECT_EQ(refusal([] { from_flag("bits", "5"); }), "--bits cannot be 5: choose 8, 4 or none");
  EXPECT_EQ(refusal([] { from_json(R"({"bits": 5})"); }), "bits cannot be 5: choose 8, 4 or none");
  EXPECT_EQ(refusal([] { from_json(R"({"fast": 1})"); }),
            "fast cannot be 1: expected true or false");
  EXPECT_EQ(refusal([] { from_json(R"({"skip": "a"})"); }),
            "skip cannot be \"a\": expected a list of names");
  EXPECT_EQ(refusal([] { from_json("[]"); }), "expected a JSON object");
}

TEST(options, an_unknown_key_is_named_with_the_nearest) {
  EXPECT_EQ(refusal([] { from_json(R"({"color": "red"})"); }),
            "the key 'color' is unknown; did you mean 'colour'?");
  EXPECT_NE(refusal([] { from_json(R"({"zzzzzzz": 1})"); }).find("known are: count, rate"),
            std::string::npos);
}

TEST(options, that_exclude_each_other_come_from_different_places_or_not_at_all) {
  EXPECT_NE(refusal([] { from_json(R"({"share": 0.5, "bytes": 10})"); }).find("together"),
            std::string::npos);
  Settings settings = from_json(R"({"share": 0.5})");
  const GivenOptions<Settings> flag = {{&row("bytes"), int64_t{10}}};
  apply_options(flag, rows(), settings);
  EXPECT_FALSE(settings.share);
  EXPECT_EQ(settings.bytes, 10);
}

TEST(options, a_number_may_have_its_unit) {
  const OptionSpec size{.flag = "--size",
                        .key = "bytes",
                        .help = "Size",
                        .kind = OptionKind::integer,
                        .least = 1,
                        .units = byte_units()};
  const auto bytes = [&](const std::string& word) {
    return std::get<int64_t>(parse_option(size, {word}));
  };
  EXPECT_EQ(bytes("1500"), 1500);
  EXPECT_EQ(bytes("300KB"), 300000);
  EXPECT_EQ(bytes("300kB"), 300000);
  EXPECT_EQ(bytes("1.5MB"), 1500000);
  EXPECT_EQ(bytes("2KiB"), 2048);
  EXPECT_EQ(bytes("9007199254740993"), 9007199254740993) << "whole numbers are read as such";
  for (const char* word : {"300kb", "KB", "1.0005KB2", "0.5B", "1e99GB", "-3KB", "", "0KB"}) {
    EXPECT_NE(refusal([&] { bytes(word); }).find("--size cannot be"), std::string::npos) << word;
  }
  EXPECT_EQ(std::get<int64_t>(option_from_json(size, nlohmann::ordered_json("300KB"))), 300000);
  EXPECT_EQ(help_of(size, std::nullopt),
            "Size, 1 or more; may be in B, kB, KB, MB, GB, KiB or MiB");
}

TEST(options, a_number_that_says_nothing_without_its_unit_is_refused) {
  const OptionSpec time{.flag = "--time",
                        .key = "time_s",
                        .help = "Time",
                        .kind = OptionKind::number,
                        .above = 0,
                        .units = time_units(),
                        .needs_unit = true};
  const auto seconds = [&](const std::string& word) {
    return std::get<double>(parse_option(time, {word}));
  };
  EXPECT_DOUBLE_EQ(seconds("2ms"), 2e-3);
  EXPECT_DOUBLE_EQ(seconds("1.5s"), 1.5);
  EXPECT_DOUBLE_EQ(seconds("250us"), 250e-6);
  EXPECT_NE(refusal([&] { seconds("2"); }).find("above 0 and its unit: us, ms or s"),
            std::string::npos);
  // The key says it.
  EXPECT_EQ(std::get<double>(option_from_json(time, nlohmann::ordered_json(0.002))), 0.002);
  EXPECT_EQ(help_of(time, std::nullopt), "Time, above 0, with its unit: us, ms or s");
}

TEST(options, a_list_adds_to_the_one_before) {
  Settings settings = from_json(R"({"skip": ["a"]})");
  const GivenOptions<Settings> flag = {{&row("skip"), std::vector<std::string>{"b"}}};
  apply_options(flag, rows(), settings);
  EXPECT_EQ(settings.skip, (std::vector<std::string>{"a", "b"}));
}

TEST(options, help_tells_choices_range_and_default) {
  const Settings defaults;
  const auto help = [&](std::string_view key) {
    return help_of(row(key).spec, row(key).get(defaults));
  };
  EXPECT_EQ(help("count"), "Rounds, from 1 to 9; default 3");
  EXPECT_EQ(help("rate"), "Rate, above 0; default 0.5");
  EXPECT_EQ(help("fast"), "Take time");
  EXPECT_EQ(help("colour"), "Colour: red or green; default green");
  EXPECT_EQ(help("share"), "Share");
  EXPECT_EQ(help("bits"), "Bits: 8, 4 or none; default 8");
  OptionSpec spec{.help = "Way", .kind = OptionKind::choice};
  spec.choices = {{"nearest", "to the nearest code"}, {"up", "upwards"}};
  EXPECT_EQ(help_of(spec, std::nullopt), "Way: nearest (to the nearest code), up (upwards)");
}

}  // namespace
}  // namespace nibble
