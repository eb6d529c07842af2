// Steps as commands leave them, and what tests ask of the page made of them.
#pragma once

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "report/run_folder.h"

namespace nibble::testing {

using Json = nlohmann::ordered_json;

/// A step of `verb` that read or wrote these files, whose digests are their names and sizes.
inline RunStep step_of(const std::string& verb, Json result,
                       const std::vector<std::pair<std::string, int>>& files = {}) {
  Json models = Json::array();
  for (const auto& [name, bytes] : files) {
    models.push_back({{"role", "read"},
                      {"file", name},
                      {"bytes", bytes},
                      {"sha256", name + std::to_string(bytes)}});
  }
  return {verb,
          {{"nibble", "0.2.0"},
           {"command", {"nibble", verb}},
           {"seed", 0},
           {"threads", 2},
           {"cpu", "A CPU"},
           {"isa", "avx2"},
           {"started", "2026-01-02T03:04:05Z"},
           {"seconds", 1.5},
           {"models", models},
           {"data", Json::array()}},
          std::move(result),
          {}};
}

inline Json quantization(const std::string& from, int before, const std::string& to, int after,
                         int weights = 8, int activations = 8) {
  return {{"model", from},
          {"output", to},
          {"bytes_before", before},
          {"bytes_after", after},
          {"quantized_layers", 1},
          {"layers", {{"conv1", {{"weights", weights}, {"activations", activations}}}}},
          {"skipped", Json::array()},
          {"notes", Json::array()}};
}

/// Two accuracies, the second with its difference from the first.
inline Json accuracies(const std::string& first, const std::string& second, double difference,
                       double low, double high, int samples = 5000) {
  return {{"split", "test"},
          {"metric", "top1"},
          {"models",
           {{{"model", first},
             {"accuracy", 0.8846},
             {"samples", samples},
             {"interval_95", {0.8754, 0.8933}}},
            {{"model", second},
             {"accuracy", 0.8846 + difference},
             {"samples", samples},
             {"interval_95", {0.87, 0.89}},
             {"paired",
              {{"difference", difference},
               {"interval_95", {low, high}},
               {"p_value", low > 0 || high < 0 ? 0.001 : 0.5}}}}}}};
}

inline Json timings(const std::vector<std::pair<std::string, double>>& medians) {
  Json models = Json::array();
  for (const auto& [model, seconds] : medians) {
    models.push_back(
        {{"model", model},
         {"latencies",
          {{{"threads", 1}, {"batch", 1}, {"median_s", seconds}, {"p95_s", seconds}}}}});
  }
  return {{"models", models}};
}

inline void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}
inline void expect_no_part(const std::string& text, const std::string& part) {
  EXPECT_EQ(text.find(part), std::string::npos) << "'" << part << "' is in: " << text;
}

/// Every tag that is opened is closed in its order, entities are those of XML, attributes quoted:
/// what an XML parser asks of the pictures, and of HTML but for its void elements.
inline void expect_well_formed(const std::string& html) {
  std::vector<std::string> open;
  static const std::regex tag(
      R"re(<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z:0-9-]+="[^"<]*")*)\s*(/?)>)re");
  size_t at = 0;
  while (at < html.size()) {
    if (html[at] == '&') {
      std::smatch entity;
      const std::string rest = html.substr(at, 10);
      EXPECT_TRUE(std::regex_search(rest, entity, std::regex("^&(amp|lt|gt|quot|#39);"))) << rest;
    }
    if (html[at] != '<') {
      ++at;
      continue;
    }
    std::smatch match;
    const std::string rest = html.substr(at, html.find('>', at) - at + 1);
    ASSERT_TRUE(std::regex_match(rest, match, tag)) << rest;
    at += rest.size();
    const std::string name = match[2];
    if (match[1] == "/") {
      ASSERT_FALSE(open.empty()) << rest;
      ASSERT_EQ(open.back(), name);
      open.pop_back();
    } else if (match[4] != "/") {
      open.push_back(name);
    }
  }
  EXPECT_TRUE(open.empty()) << open.back();
}

}  // namespace nibble::testing
