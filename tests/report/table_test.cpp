#include "report/table.h"

#include <gtest/gtest.h>

#include <sstream>

#include "report/format.h"

namespace nibble {
namespace {

TEST(Table, aligns_columns) {
  Table table({{"model"}, {"size", Align::right}});
  table.add_row({"float", "8.87 MB"});
  table.add_row({"4-bit µ", "9 kB"});
  EXPECT_EQ(table.to_string(),
            "model       size\n"
            "───────  ───────\n"
            "float    8.87 MB\n"
            "4-bit µ     9 kB\n");
}

TEST(Table, shortens_text_but_never_numbers) {
  Table table({{"a very long layer name"}, {"number", Align::right}});
  table.add_row({"backbone/stage4/block2/conv1", "123456789"});
  std::istringstream lines(table.to_string(30));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 30) << line;
  EXPECT_NE(table.to_string(30).find("backbone/stage4/bl…  123456789"), std::string::npos);
  EXPECT_NE(table.to_string(5).find("123456789"), std::string::npos);
}

TEST(Table, missing_cells_are_empty) {
  Table table({{"a"}, {"b"}});
  table.add_row({"x"});
  EXPECT_EQ(table.to_string(), "a  b\n─  ─\nx\n");
  EXPECT_EQ(Table({{"a"}}).rows(), 0U);
}

TEST(DisplayWidth, counts_cells_not_bytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("äöü…"), 4);
  EXPECT_EQ(display_width("数字"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width("\xFF\xC3"), 2);
}

TEST(FitToWidth, cuts_between_characters) {
  EXPECT_EQ(fit_to_width("abcdef", 4), "abc…");
  EXPECT_EQ(fit_to_width("数字数字", 4), "数…");
  EXPECT_EQ(fit_to_width("äöü", 3), "äöü");
  EXPECT_EQ(fit_to_width("abc", 0), "");
}

TEST(Format, bytes_and_counts) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(999999), "1.00 MB");
  EXPECT_EQ(format_bytes(8870000), "8.87 MB");
  EXPECT_EQ(format_bytes(123456789), "123 MB");
  EXPECT_EQ(format_count(40600000), "40.6 M");
}

TEST(Format, durations) {
  EXPECT_EQ(format_duration(1.5e-6), "1.50 us");
  EXPECT_EQ(format_duration(0.00123), "1.23 ms");
  EXPECT_EQ(format_duration(12.34), "12.3 s");
  EXPECT_EQ(format_duration(59.99), "1 min 00 s");
  EXPECT_EQ(format_duration(125), "2 min 05 s");
  EXPECT_EQ(format_duration(3720), "1 h 02 min");
  EXPECT_EQ(format_duration(-1), "?");
}

TEST(Format, accuracy_and_difference) {
  Evaluation evaluation;
  evaluation.samples = 500;
  evaluation.correct = 492;
  evaluation.interval = binomial_interval(492, 500);
  EXPECT_EQ(format_accuracy(evaluation), "98.40 % [96.87, 99.31], n = 500");
  PairedTest test;
  test.difference = -0.002;
  test.interval = {-0.011, 0.00001};
  test.p_value = 0.625;
  EXPECT_EQ(format_difference(test), "-0.20 [-1.10, +0.00] points, p = 0.62");
  EXPECT_EQ(format_p_value(1e-9), "p < 0.0001");
  EXPECT_EQ(format_points(-0.00001), "+0.00");
  EXPECT_EQ(group_digits(-1234567), "-1,234,567");
}

}  // namespace
}  // namespace nibble
