// The range report as JSON.
#include <nlohmann/json.hpp>

#include "nibble/ranges.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

Json moments_json(const Moments& moments) {
  const double count = static_cast<double>(std::max<int64_t>(moments.count, 1));
  return {{"count", moments.count},  {"min", moments.minimum},
          {"max", moments.maximum},  {"mean", moments.mean},
          {"std", moments.stddev()}, {"zero_share", static_cast<double>(moments.zeros) / count}};
}

Json channels_json(const TensorRange& range) {
  Json minimum = Json::array(), maximum = Json::array(), mean = Json::array(),
       deviation = Json::array(), zero_share = Json::array();
  for (const Moments& channel : range.channels) {
    minimum.push_back(channel.minimum);
    maximum.push_back(channel.maximum);
    mean.push_back(channel.mean);
    deviation.push_back(channel.stddev());
    zero_share.push_back(static_cast<double>(channel.zeros) /
                         static_cast<double>(std::max<int64_t>(channel.count, 1)));
  }
  return {{"axis", range.channel_axis}, {"min", minimum},          {"max", maximum}, {"mean", mean},
          {"std", deviation},           {"zero_share", zero_share}};
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
  return json;
}

}  // namespace

std::string to_json(const RangeReport& report) {
  Json tensors = Json::array();
  for (const TensorRange& range : report.tensors) tensors.push_back(tensor_json(range));
  Json json{{"samples", report.samples}, {"tensors", std::move(tensors)}};
  if (!report.notes.empty()) json["notes"] = report.notes;
  return json.dump();
}

}  // namespace nibble
