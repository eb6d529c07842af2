// A range report goes through JSON and comes back the same.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "nibble/ranges.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

void expect_equal(const Moments& a, const Moments& b) {
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.minimum, b.minimum);
  EXPECT_EQ(a.maximum, b.maximum);
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.m2, b.m2);
  EXPECT_EQ(a.zeros, b.zeros);
}

RangeReport report() { return analyze(testing::residual(), testing::Synthetic(16, {3, 6, 6})); }

TEST(range_report, comes_back_from_json_to_the_last_bit) {
  const RangeReport written = report();
  const std::string json = to_json(written);
  const RangeReport read = range_report_from_json(json);
  EXPECT_EQ(to_json(read), json);
  EXPECT_EQ(read.samples, written.samples);
  ASSERT_EQ(read.tensors.size(), written.tensors.size());
  for (size_t i = 0; i < read.tensors.size(); ++i) {
    const TensorRange &a = written.tensors[i], &b = read.tensors[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.is_weight, b.is_weight);
    EXPECT_EQ(a.shape, b.shape);
    EXPECT_EQ(a.histogram, b.histogram);
    expect_equal(a.total, b.total);
    ASSERT_EQ(a.channels.size(), b.channels.size());
    for (size_t c = 0; c < a.channels.size(); ++c) expect_equal(a.channels[c], b.channels[c]);
    EXPECT_EQ(a.sample_extremes.samples, b.sample_extremes.samples);
    EXPECT_EQ(a.sample_extremes.minimum, b.sample_extremes.minimum);
    EXPECT_EQ(a.errors.size(), b.errors.size());
  }
}

TEST(range_report, of_a_value_without_a_range_keeps_the_reason) {
  RangeReport written = report();
  written.tensors[1].unusable = "it is infinite for sample 3";
  written.tensors[1].total.mean = NAN;
  const RangeReport read = range_report_from_json(to_json(written));
  EXPECT_EQ(read.tensors[1].unusable, "it is infinite for sample 3");
}

TEST(range_report, that_is_damaged_is_an_error) {
  const std::string json = to_json(report());
  const auto error = [](const std::string& text) {
    return testing::error_of([&] { range_report_from_json(text); });
  };
  for (const std::string& text : {std::string(), std::string("{}"), std::string("[1]"),
                                  json.substr(0, json.size() / 2), std::string("{\"samples\": -"),
                                  std::string(R"({"samples": 3, "tensors": [{"name": 3}]})")}) {
    EXPECT_NE(error(text).find("no range report"), std::string::npos) << error(text);
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = json;
    text.replace(text.find(from), from.size(), to);
    return error(text);
  };
  EXPECT_NE(with("\"bin_width\":", "\"bin_width\":3,\"was\":").find("are no histogram"),
            std::string::npos);
  EXPECT_NE(with("\"m2\":", "\"m3\":").find("earlier version"), std::string::npos);
  EXPECT_NE(with("\"shape\":[", "\"shape\":[\"a\",").find("no range report"), std::string::npos);
}

TEST(histogram, of_bins_is_what_was_counted) {
  Histogram counted;
  const std::vector<float> values = {-3.5F, 0, 0.25F, 100, 7};
  counted.add(values);
  EXPECT_EQ(Histogram::of_bins(counted.low(), counted.bin_width(), counted.counts()), counted);
  EXPECT_EQ(Histogram::of_bins(0, 0, {}), Histogram());
  EXPECT_THROW(Histogram::of_bins(0, 0.3, {1}), Error);
  EXPECT_THROW(Histogram::of_bins(0.1, 0.5, {1}), Error);
  EXPECT_THROW(Histogram::of_bins(0, 0.5, {-1}), Error);
  EXPECT_THROW(Histogram::of_bins(0, 0.5, {INT64_MAX, 1}), Error);
  EXPECT_THROW(Histogram::of_bins(0, NAN, {1}), Error);
}

}  // namespace
}  // namespace nibble
