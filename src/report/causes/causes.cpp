#include "report/causes/causes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "report/format.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMuchClipped = 0.6;    // of the rounding error
constexpr double kFewCodes = 0.5;       // of the codes are used
constexpr double kNarrowBulk = 0.2;     // of the range that the codes cover
constexpr double kWideChannel = 6;      // times the median channel's reach
constexpr double kNoisyChannel = 0.25;  // of the noise, and four times its fair share
constexpr double kCancelled = 1.5;      // times the noise that there would be
constexpr double kLeastShare = 0.05;    // of the noise that all layers add
constexpr double kGoodEnough = 50;      // dB: nothing worth a remedy

std::string number(double value) { return fmt::format("{:.3g}", value); }

std::string range_text(double low, double high) {
  return fmt::format("[{}, {}]", number(low), number(high));
}

// Two digits, and never "100 %" of what is less.
std::string percent(double share) {
  if (share > 0.995 && share < 1) return "more than 99 %";
  if (share > 0 && share < 0.0001) return "less than 0.01 %";
  return share < 0.01 ? fmt::format("{:.2f} %", share * 100) : fmt::format("{:.0f} %", share * 100);
}

// `what` ("weights") of the layer in other bits.
Remedy layer_setting(const LayerFigures& layer, std::string_view what, int bits) {
  return {fmt::format("`nibble quantize --config nibble.json` with `{{\"layers\": {{\"{}\": "
                      "{{\"{}\": {}}}}}}}`",
                      layer.node, what, bits),
          Json{{"layers", {{layer.node, {{what, bits}}}}}}.dump()};
}

Remedy skipping(const LayerFigures& layer) {
  return {fmt::format("`nibble quantize --skip {}`", layer.node),
          Json{{"skip", Json::array({layer.node})}}.dump()};
}

// 8 bits for what has fewer; else none at all.
Remedy more_bits(const LayerFigures& layer, const TensorFigures& tensor, std::string_view what) {
  return tensor.bits < 8 ? layer_setting(layer, what, 8) : skipping(layer);
}

std::optional<Finding> lost_in_the_step(const LayerFigures& layer, const TensorFigures& tensor,
                                        Place) {
  const double reach = std::max(std::abs(tensor.minimum), std::abs(tensor.maximum));
  if (reach == 0 || reach >= tensor.step / 2) return std::nullopt;
  return Finding{fmt::format("the values of '{}' reach {}, less than half a step of its codes "
                             "({}): all of them become zero",
                             tensor.name, number(reach), number(tensor.step)),
                 skipping(layer)};
}

std::optional<Finding> clipped(const LayerFigures&, const TensorFigures& tensor, Place place) {
  if (place == Place::weight || tensor.clipped_noise < kMuchClipped) return std::nullopt;
  return Finding{
      fmt::format("{} of the values of '{}' lie beyond {}, where its codes end, and make {} of "
                  "its rounding error",
                  percent(tensor.clipped_share), tensor.name, range_text(tensor.low, tensor.high),
                  percent(tensor.clipped_noise)),
      {"`nibble quantize --activation-observer min-max`, or more samples: `--calibration`",
       R"({"activation_observer":"min-max"})"}};
}

std::optional<Finding> unused_codes(const LayerFigures&, const TensorFigures& tensor, Place place) {
  if (place == Place::weight || !(tensor.high > tensor.low)) return std::nullopt;
  const double low = std::max(tensor.low, std::min(0.0, tensor.minimum));
  const double high = std::min(tensor.high, std::max(0.0, tensor.maximum));
  const double used = (high - low) / (tensor.high - tensor.low);
  if (used >= kFewCodes + 0.02) return std::nullopt;
  const bool one_sided = tensor.symmetric && (tensor.minimum >= 0 || tensor.maximum <= 0);
  return Finding{
      fmt::format("only {} of the codes of '{}' stand for values that occur: they reach {}, the "
                  "values {}",
                  percent(std::max(0.0, used)), tensor.name, range_text(tensor.low, tensor.high),
                  range_text(tensor.minimum, tensor.maximum)),
      {one_sided ? "`nibble quantize --target onnxruntime`, whose codes need not be symmetric"
                 : "more samples, of the kind that was measured: `nibble quantize --calibration`",
       ""}};
}

std::optional<Finding> outlier_channel(const LayerFigures& layer, const TensorFigures& tensor,
                                       Place place) {
  if (tensor.channels < 2) return std::nullopt;
  if (place == Place::weight) {
    const double fair = 1.0 / static_cast<double>(tensor.channels);
    if (tensor.channel_noise < std::max(kNoisyChannel, 4 * fair)) return std::nullopt;
    return Finding{
        fmt::format("channel {} of the {} of '{}' makes {} of its rounding error: it reaches {}, "
                    "the median channel {}",
                    tensor.channel, tensor.channels, tensor.name, percent(tensor.channel_noise),
                    number(tensor.channel_reach), number(tensor.median_reach)),
        more_bits(layer, tensor, "weights")};
  }
  if (!(tensor.median_reach > 0) || tensor.channel_reach < kWideChannel * tensor.median_reach) {
    return std::nullopt;
  }
  return Finding{
      fmt::format("channel {} of the {} of '{}' reaches {}, the median channel {}, and "
                  "one scale stands for all",
                  tensor.channel, tensor.channels, tensor.name, number(tensor.channel_reach),
                  number(tensor.median_reach)),
      {"`nibble quantize --smooth auto`, or " + more_bits(layer, tensor, "activations").text,
       R"({"smooth":"auto"})"}};
}

std::optional<Finding> few_values_rule(const LayerFigures&, const TensorFigures& tensor,
                                       Place place) {
  if (place == Place::weight || !(tensor.high > tensor.low)) return std::nullopt;
  const double bulk = tensor.bulk_high - tensor.bulk_low;
  const double share = bulk / (tensor.high - tensor.low);
  if (share >= kNarrowBulk) return std::nullopt;
  return Finding{fmt::format("99.8 % of the values of '{}' lie within {}, {} of the range {} that "
                             "its codes cover",
                             tensor.name, range_text(tensor.bulk_low, tensor.bulk_high),
                             percent(std::max(0.0, share)), range_text(tensor.low, tensor.high)),
                 {"`nibble quantize --activation-observer percentile`",
                  R"({"activation_observer":"percentile"})"}};
}

std::optional<Finding> depthwise_in_few_bits(const LayerFigures& layer, const TensorFigures& tensor,
                                             Place place) {
  if (place != Place::weight || !layer.depthwise || tensor.bits > 4) return std::nullopt;
  return Finding{
      fmt::format("its weights have {} bits, and a depthwise layer sums only {} products, over "
                  "which their errors hardly cancel: rounding '{}' alone leaves {:.1f} dB",
                  tensor.bits, layer.terms, tensor.name, tensor.sqnr_db),
      layer_setting(layer, "weights", 8)};
}

std::optional<Finding> few_bits(const LayerFigures& layer, const TensorFigures& tensor,
                                Place place) {
  if (tensor.bits >= 8) return std::nullopt;
  Remedy remedy = layer_setting(layer, place == Place::weight ? "weights" : "activations", 8);
  remedy.text += ", or training with the rounding in the loop: `nibble qat`";
  return Finding{fmt::format("rounding '{}' to {} bits alone leaves {:.1f} dB", tensor.name,
                             tensor.bits, tensor.sqnr_db),
                 std::move(remedy)};
}

// Relative to the signal, of rounding the layer's own tensors.
double own_noise(const LayerFigures& layer) {
  double noise = 0;
  for (const auto* tensor : {&layer.weight, &layer.input, &layer.result}) {
    if (*tensor) noise += noise_of((*tensor)->sqnr_db);
  }
  return noise;
}

std::optional<Finding> cancelled_signal(const LayerFigures& layer, const TensorFigures&, Place) {
  const double arrives = noise_of(layer.sqnr_before_db), own = own_noise(layer);
  if (noise_of(layer.sqnr_db) < kCancelled * (arrives + own)) return std::nullopt;
  return Finding{
      fmt::format("what reaches it and the rounding of its own numbers would leave {:.1f} dB: it "
                  "cancels more of the signal than of the noise, in differences of large numbers",
                  -10 * std::log10(arrives + own)),
      arrives > own ? Remedy{"better layers before it, or training with the float network as the "
                             "teacher: `nibble finetune --teacher`",
                             ""}
                    : skipping(layer)};
}

std::optional<Finding> eight_bits(const LayerFigures& layer, const TensorFigures& tensor, Place) {
  if (noise_of(tensor.sqnr_db) < noise_of(layer.sqnr_db) / 2) return std::nullopt;
  return Finding{fmt::format("rounding '{}' to {} bits alone leaves {:.1f} dB, and nothing stands "
                             "out in it",
                             tensor.name, tensor.bits, tensor.sqnr_db),
                 skipping(layer)};
}

constexpr std::array kCauses = {
    CauseRow{"lost in the step", "all values are smaller than half a step of the codes",
             lost_in_the_step},
    CauseRow{"clipped range", "values beyond the codes' ends make most of the error", clipped},
    CauseRow{"unused codes", "half of the codes stand for values that never occur", unused_codes},
    CauseRow{"outlier channel",
             "one channel reaches much farther than the others, or makes much "
             "of the error",
             outlier_channel},
    CauseRow{"range of few values", "nearly all values lie in a small part of the range",
             few_values_rule},
    CauseRow{"depthwise in few bits", "a depthwise layer has weights of 4 bits or fewer",
             depthwise_in_few_bits},
    CauseRow{"few bits", "a tensor has fewer than 8 bits, and nothing else stands out", few_bits},
    CauseRow{"cancelled signal",
             "half as much noise again as arrives and its own rounding makes: the signal cancels",
             cancelled_signal, false},
    CauseRow{"8 bits", "rounding a tensor makes half of the noise, and nothing else stands out",
             eight_bits},
};

// The tensor of the layer that loses most by rounding alone.
std::pair<const TensorFigures*, Place> worst_tensor(const LayerFigures& layer) {
  std::pair<const TensorFigures*, Place> worst = {nullptr, Place::weight};
  const auto look = [&](const std::optional<TensorFigures>& tensor, Place place) {
    if (tensor && (worst.first == nullptr || tensor->sqnr_db < worst.first->sqnr_db)) {
      worst = {&*tensor, place};
    }
  };
  look(layer.weight, Place::weight);
  look(layer.input, Place::input);
  look(layer.result, Place::result);
  return worst;
}

}  // namespace

std::span<const CauseRow> causes() { return kCauses; }

std::optional<Cause> cause_of(const LayerFigures& layer) {
  const auto [tensor, place] = worst_tensor(layer);
  if (tensor == nullptr || layer.share <= 0) return std::nullopt;
  for (const CauseRow& row : kCauses) {
    if (row.of_a_tensor && tensor->sqnr_db >= kGoodEnough) continue;
    if (auto found = row.test(layer, *tensor, place)) {
      return Cause{row.name, std::move(found->sentence), std::move(found->remedy.text),
                   std::move(found->remedy.settings)};
    }
  }
  return std::nullopt;
}

std::vector<const LayerFigures*> costliest(std::span<const LayerFigures> layers, size_t most) {
  std::vector<const LayerFigures*> worst;
  double least = kGoodEnough;
  for (const LayerFigures& layer : layers) {
    if (layer.share >= kLeastShare) worst.push_back(&layer);
    least = std::min(least, layer.sqnr_db);
  }
  if (least >= kGoodEnough) return {};
  std::ranges::stable_sort(worst, std::greater<>(), &LayerFigures::share);
  if (worst.size() > most) worst.resize(most);
  return worst;
}

std::string cost_text(const LayerFigures& layer) {
  const auto decibels = [](double db) {
    return std::isinf(db) ? std::string("nothing lost") : fmt::format("{:.1f} dB", db);
  };
  return fmt::format(
      "{} ({}{}) adds {} of the noise: {} before it, {} behind it", layer.node, layer.op,
      layer.weight_bits > 0 ? fmt::format(", weights of {} bits", layer.weight_bits) : "",
      percent(layer.share), decibels(layer.sqnr_before_db), decibels(layer.sqnr_db));
}

}  // namespace nibble
