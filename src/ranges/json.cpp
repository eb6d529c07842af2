// The range report as JSON, and from it.
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/check.h"
#include "nibble/ranges.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

Json moments_json(const Moments& moments) {
  const double count = static_cast<double>(std::max<int64_t>(moments.count, 1));
  return {{"count", moments.count},  {"min", moments.minimum},
          {"max", moments.maximum},  {"mean", moments.mean},
          {"std", moments.stddev()}, {"zero_share", static_cast<double>(moments.zeros) / count},
          {"m2", moments.m2},        {"zeros", moments.zeros}};
}

Json channels_json(const TensorRange& range) {
  Json minimum = Json::array(), maximum = Json::array(), mean = Json::array(),
       deviation = Json::array(), zero_share = Json::array(), count = Json::array(),
       m2 = Json::array(), zeros = Json::array();
  for (const Moments& channel : range.channels) {
    minimum.push_back(channel.minimum);
    maximum.push_back(channel.maximum);
    mean.push_back(channel.mean);
    deviation.push_back(channel.stddev());
    zero_share.push_back(static_cast<double>(channel.zeros) /
                         static_cast<double>(std::max<int64_t>(channel.count, 1)));
    count.push_back(channel.count);
    m2.push_back(channel.m2);
    zeros.push_back(channel.zeros);
  }
  return {{"axis", range.channel_axis},
          {"min", minimum},
          {"max", maximum},
          {"mean", mean},
          {"std", deviation},
          {"zero_share", zero_share},
          {"count", count},
          {"m2", m2},
          {"zeros", zeros}};
}

Json tensor_json(const TensorRange& range) {
  Json errors = Json::object();
  for (const BitError& error : range.errors) errors[std::to_string(error.bits)] = error.sqnr_db;
  Json json = {{"name", range.name},
               {"node", range.node},
               {"kind", range.is_weight ? "weight" : "activation"},
               {"shape", range.shape.dims()}};
  json.update(moments_json(range.total));
  if (!range.unusable.empty()) json["unusable"] = range.unusable;
  json["outlier_share"] = range.outlier_share;
  json["sqnr_db"] = std::move(errors);
  json["channels"] = channels_json(range);
  json["histogram"] = {{"low", range.histogram.low()},
                       {"bin_width", range.histogram.bin_width()},
                       {"counts", range.histogram.counts()}};
  json["sample_extremes"] = {{"samples", range.sample_extremes.samples},
                             {"min", range.sample_extremes.minimum},
                             {"max", range.sample_extremes.maximum}};
  return json;
}

// JSON has no word for numbers that are none: null.
double real(const Json& json) { return json.is_null() ? 0 : json.get<double>(); }

Moments moments_from(const Json& json, const char* where) {
  for (const char* key : {"m2", "zeros"}) {
    if (json.contains(key)) continue;
    fail(ErrorCode::invalid_data,
         "{} has no '{}': the file is of an earlier version of Nibble; run `nibble analyze` again",
         where, key);
  }
  return {.count = json.at("count").get<int64_t>(),
          .minimum = static_cast<float>(real(json.at("min"))),
          .maximum = static_cast<float>(real(json.at("max"))),
          .mean = real(json.at("mean")),
          .m2 = real(json.at("m2")),
          .zeros = json.at("zeros").get<int64_t>()};
}

std::vector<Moments> channels_from(const Json& json) {
  std::vector<Moments> channels(json.at("min").size());
  for (size_t i = 0; i < channels.size(); ++i) {
    Json one;
    for (const char* key : {"min", "max", "mean", "count", "m2", "zeros"}) {
      if (json.contains(key)) one[key] = json.at(key).at(i);
    }
    channels[i] = moments_from(one, "a channel");
  }
  return channels;
}

TensorRange tensor_from(const Json& json) {
  const Json &channels = json.at("channels"), &bins = json.at("histogram");
  TensorRange range{
      .name = json.at("name").get<std::string>(),
      .node = json.at("node").get<std::string>(),
      .is_weight = json.at("kind").get<std::string>() == "weight",
      .shape = Shape(json.at("shape").get<std::vector<int64_t>>()),
      .total = moments_from(json, "a tensor"),
      .channel_axis = channels.at("axis").get<int>(),
      .channels = channels_from(channels),
      .histogram = Histogram::of_bins(real(bins.at("low")), real(bins.at("bin_width")),
                                      bins.at("counts").get<std::vector<int64_t>>()),
      .sample_extremes = {},
      .outlier_share = real(json.at("outlier_share")),
      .errors = {},
      .unusable = json.value("unusable", std::string())};
  const Json& extremes = json.at("sample_extremes");
  range.sample_extremes = {.samples = extremes.at("samples").get<int64_t>(),
                           .minimum = real(extremes.at("min")),
                           .maximum = real(extremes.at("max"))};
  for (const auto& [bits, sqnr] : json.at("sqnr_db").items()) {
    range.errors.push_back({std::stoi(bits), sqnr.is_null()
                                                 ? std::numeric_limits<double>::infinity()
                                                 : sqnr.get<double>()});
  }
  return range;
}

}  // namespace

RangeReport range_report_from_json(std::string_view text) {
  RangeReport report;
  try {
    const Json json = Json::parse(text);
    report.samples = json.at("samples").get<int64_t>();
    for (const Json& tensor : json.at("tensors")) report.tensors.push_back(tensor_from(tensor));
    if (json.contains("notes")) report.notes = json.at("notes").get<std::vector<std::string>>();
  } catch (const Json::exception& error) {
    fail(ErrorCode::invalid_data, "this is no range report as `nibble analyze -o` writes it: {}",
         error.what());
  } catch (const std::logic_error& error) {  // of std::stoi
    fail(ErrorCode::invalid_data, "this is no range report as `nibble analyze -o` writes it: {}",
         error.what());
  }
  return report;
}

std::string to_json(const RangeReport& report) {
  Json tensors = Json::array();
  for (const TensorRange& range : report.tensors) tensors.push_back(tensor_json(range));
  Json json{{"samples", report.samples}, {"tensors", std::move(tensors)}};
  if (!report.notes.empty()) json["notes"] = report.notes;
  return json.dump();
}

}  // namespace nibble
