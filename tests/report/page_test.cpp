// The page as a whole: nothing of a stranger's file gets into it unescaped, it loads nothing, and
// what is measured is on it.
#include "report/page/page.h"

#include <algorithm>

#include "report/page/html.h"
#include "report/page/svg.h"
#include "report/page_support.h"

namespace nibble {
namespace {

using testing::accuracies;
using testing::expect_no_part;
using testing::expect_part;
using testing::expect_well_formed;
using testing::Json;
using testing::quantization;
using testing::step_of;
using testing::timings;

constexpr const char* kHostile = "<script>alert('1')</script>\"&amp;\x01\xff";

// What is between <main> and </main>: without the style sheet and the script.
std::string main_of(const std::string& page) {
  const size_t begin = page.find("<main"), end = page.find("</main>");
  EXPECT_NE(begin, std::string::npos);
  return page.substr(begin, end + 7 - begin);
}

std::vector<RunStep> full_run(const std::string& name) {
  return {step_of("quantize", quantization(name, 1000, "small.onnx", 500)),
          step_of("eval", accuracies(name, "small.onnx", -0.01, -0.02, 0.01)),
          step_of("bench", timings({{name, 0.002}, {"small.onnx", 0.001}}))};
}

TEST(escape, leaves_no_character_that_html_or_xml_reads) {
  EXPECT_EQ(page::escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(page::escape("\x01\x7f"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(page::escape("caf\xc3\xa9 \xf0\x9f\x98\x80"), "caf\xc3\xa9 \xf0\x9f\x98\x80");
  // Cut short, overlong, a surrogate, beyond the last character.
  for (const char* bad : {"\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xef\xbf\xbf"}) {
    EXPECT_EQ(page::escape(bad).find(bad), std::string::npos);
    expect_part(page::escape(bad), "\xef\xbf\xbd");
  }
}

TEST(report_page, shows_what_was_measured) {
  const std::string html = report_page(full_run("float.onnx"));
  for (const char* part : {"float.onnx", "88.46 % [87.54, 89.33], n = 5,000", "2.00 ms", "1.00 kB",
                           "-1.00 points [-2.00, +1.00]", "no loss can be shown", "A CPU, avx2",
                           "2026-01-02T03:04:05Z", "W8 A8"}) {
    expect_part(html, part);
  }
}

TEST(report_page, is_well_formed_whatever_the_names_are) {
  for (const std::string& name : {std::string("float.onnx"), std::string(kHostile)}) {
    expect_well_formed(main_of(report_page(full_run(name))));
  }
}

TEST(report_page, escapes_the_names_of_strangers) {
  std::vector<RunStep> steps = full_run(kHostile);
  steps[0].result["layers"] = {{kHostile, {{"weights", 4}, {"activations", 8}}}};
  steps[0].result["notes"] = {kHostile};
  steps[0].result["skipped"] = {{{"node", kHostile}, {"op", kHostile}, {"reason", kHostile}}};
  steps[0].provenance["command"] = {"nibble", kHostile};
  steps[0].provenance["data"] = {{{"data", kHostile}, {"description", kHostile}}};
  const std::string html = report_page(steps);
  expect_no_part(html, "<script>alert");
  expect_no_part(html, "alert('1')");
  expect_part(html, "&lt;script&gt;alert(&#39;1&#39;)");
}

Json rung(const std::string& setting, const std::string& gave, const std::string& outcome) {
  return {{"setting", setting},
          {"bytes", 320000},
          {"weight_bits", 8.0},
          {"verdict", {{"text", gave}, {"outcome", outcome}, {"confidence", 0.99}}},
          {"next", "on to <more>"}};
}

TEST(report_page, tells_what_was_tried_to_keep_to_a_goal) {
  Json result = quantization("a.onnx", 1000, "b.onnx", 500);
  EXPECT_EQ(report_page({{step_of("quantize", result)}}).find("id=\"goal\""), std::string::npos);
  result["ladder"] = {
      {"chosen", 1},
      {"decision_samples", 900},
      {"rungs", {rung("W8A8", "top1 88.1 %", "kept"), rung("W4A8", "top1 86 %", "kept")}},
      {"report", {{"text", "top1 85.5 %"}}}};
  const std::string html = report_page({{step_of("quantize", result)}});
  expect_part(html, "id=\"goal\"");
  expect_part(html, "decided on 900 samples, by intervals of 99.0 %");
  expect_part(html, "top1 88.1 %");
  expect_part(html, "on to &lt;more&gt;; chosen");
  expect_part(html, "on samples that decided nothing: top1 85.5 %");
  result["ladder"] = "nonsense";
  report_page({{step_of("quantize", result)}});
}

Json point(double bytes, double sqnr) {
  return {{"average_weight_bits", 5.5}, {"file_bytes", bytes}, {"sqnr_db", sqnr}};
}

TEST(report_page, draws_what_other_budgets_would_give_and_marks_the_choice) {
  Json result = quantization("a.onnx", 1000, "b.onnx", 500);
  EXPECT_EQ(report_page({{step_of("quantize", result)}}).find("id=\"front\""), std::string::npos);
  result["choice"] = {{"budget", {{"file_bytes", 250000}}},
                      {"chosen", point(240000, 21)},
                      {"front", {point(200000, 15.5), point(240000, 21), point(300000, 30.25)}}};
  std::string html = report_page({{step_of("quantize", result)}});
  expect_well_formed(main_of(html));
  expect_part(html, "id=\"front\"");
  expect_part(html, "chosen: 240 kB, 21.0 dB predicted, 5.50 bits of a weight");
  expect_part(html, "budget 250 kB");
  expect_part(html, "<title>300 kB, 30.2 dB predicted");
  expect_part(html, "All 3 points");
  // Of a latency, what was measured.
  for (Json& one : result["choice"]["front"]) one["latency_s"] = 1e-3;
  result["choice"]["chosen"]["latency_s"] = 1e-3;
  result["choice"]["budget"] = {{"latency_s", 2e-3}};
  result["choice"]["latency"] = {{"predicted_s", 1.1e-3},
                                 {"median_s", 1.2e-3},
                                 {"interval_95", {1.15e-3, 1.3e-3}},
                                 {"runs", 77},
                                 {"networks", 5},
                                 {"conditions", "1 thread, <CPU>"}};
  html = report_page({{step_of("quantize", result)}});
  expect_part(html,
              "takes 1.20 ms [1.15 ms, 1.30 ms] (median of 77 runs, 95 %), 1.10 ms as predicted");
  expect_part(html, "1 thread, &lt;CPU&gt;");
  result["choice"]["front"] = "nonsense";
  report_page({{step_of("quantize", result)}});
}

TEST(report_page, loads_nothing) {
  const std::string html = report_page(full_run("float.onnx"));
  for (const char* part : {" src=", "@import", "url(", "<link", "<iframe", "fetch(", "import("}) {
    expect_no_part(html, part);
  }
  // The name of SVG's vocabulary is no address that is asked.
  const std::regex address("https?://(?!www\\.w3\\.org/2000/svg)");
  EXPECT_FALSE(std::regex_search(html, address));
}

TEST(report_page, takes_results_of_any_kind_without_failing) {
  const std::vector<Json> kOdd = {nullptr, 3,      "text", Json::array(),  Json::object(),
                                  1e300,   -1e300, true,   {{"models", 3}}};
  for (const char* verb : {"analyze", "quantize", "eval", "compare", "bench", "train", "inspect",
                           "qat", "finetune", "nothing"}) {
    for (const char* key : {"models", "model", "output", "outputs", "metrics", "layers", "epochs",
                            "tensors", "nodes", "bytes_before", "causes", "skipped"}) {
      for (const Json& odd : kOdd) {
        expect_well_formed(main_of(report_page({{step_of(verb, {{key, odd}})}})));
        RunStep step = step_of(verb, {{key, Json::array({odd, odd})}});
        step.provenance[key] = odd;
        expect_well_formed(main_of(report_page({{step}})));
      }
    }
  }
}

TEST(report_page, draws_no_chart_of_a_single_point) {
  const std::string html =
      report_page({{step_of("quantize", quantization("a.onnx", 1000, "b.onnx", 500))}});
  expect_no_part(html, "<svg");
}

TEST(report_page, describes_every_picture) {
  const std::string html = report_page(full_run("float.onnx"));
  size_t pictures = 0;
  for (size_t at = html.find("<svg"); at != std::string::npos; at = html.find("<svg", at + 1)) {
    const std::string picture = html.substr(at, html.find("</svg>", at) + 6 - at);
    expect_well_formed(picture);
    expect_part(picture, "role=\"img\"");
    expect_part(picture, "<title id=");
    expect_part(picture, "<desc id=");
    ++pictures;
  }
  EXPECT_EQ(pictures, 2U);
}

TEST(report_page, numbers_along_an_axis_differ) {
  std::vector<RunStep> steps = full_run("float.onnx");
  for (auto& model : steps[1].result["models"]) {
    model["accuracy"] = 0.992;
    model["interval_95"] = {0.985, 0.997};
  }
  const std::string html = report_page(steps);
  const std::regex tick("<text[^>]*text-anchor=\"end\" class=\"tick\">([^<]*)</text>");
  const size_t begin = html.find("<svg");
  const std::string picture = html.substr(begin, html.find("</svg>") - begin);
  std::vector<std::string> numbers;
  for (std::sregex_iterator it(picture.begin(), picture.end(), tick), end; it != end; ++it) {
    EXPECT_EQ(std::ranges::count(numbers, (*it)[1].str()), 0) << (*it)[1];
    numbers.push_back((*it)[1]);
  }
  EXPECT_GE(numbers.size(), 3U);
}

TEST(axis, maps_its_range_onto_its_coordinates) {
  const page::Axis linear{0, 10, 100, 0, false};
  EXPECT_DOUBLE_EQ(linear.at(0), 100);
  EXPECT_DOUBLE_EQ(linear.at(5), 50);
  const page::Axis logarithmic{1, 100, 0, 200, true};
  EXPECT_DOUBLE_EQ(logarithmic.at(10), 100);
}

TEST(axis, has_round_ticks_within_its_range) {
  EXPECT_EQ((page::Axis{0, 1, 0, 1, false}.ticks(5)),
            (std::vector{0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0}));
  EXPECT_EQ((page::Axis{1, 1000, 0, 1, true}.ticks(4)), (std::vector{1.0, 10.0, 100.0, 1000.0}));
  for (const double scale : {1e-30, 1e-3, 1.0, 1e30}) {
    for (const bool logarithmic : {false, true}) {
      const page::Axis axis = page::axis_over(scale, 7 * scale, 0, 100, logarithmic);
      const auto ticks = axis.ticks(5);
      EXPECT_GE(ticks.size(), 2U);
      for (const double tick : ticks) {
        EXPECT_GE(axis.at(tick), -0.5);
        EXPECT_LE(axis.at(tick), 100.5);
      }
    }
  }
}

TEST(axis, of_one_value_is_not_of_no_width) {
  for (const double value : {0.0, 5.0, -3.0, 1e-20}) {
    const page::Axis axis = page::axis_over(value, value, 0, 100);
    EXPECT_LT(axis.low, axis.high);
    EXPECT_NEAR(axis.at(value), 50, 1e-6);
  }
}

}  // namespace
}  // namespace nibble
