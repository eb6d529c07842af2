#include "report/causes/costs_json.h"

#include <algorithm>

#include "report/causes/causes.h"

namespace nibble {

nlohmann::ordered_json costs_json(std::span<const LayerFigures> layers, size_t most) {
  const std::vector<const LayerFigures*> worst = costliest(layers, most);
  auto list = nlohmann::ordered_json::array();
  for (const LayerFigures& layer : layers) {
    nlohmann::ordered_json entry = {{"node", layer.node},
                                    {"op", layer.op},
                                    {"value", layer.value},
                                    {"weight_bits", layer.weight_bits},
                                    {"activation_bits", layer.activation_bits},
                                    {"sqnr_before_db", layer.sqnr_before_db},
                                    {"sqnr_db", layer.sqnr_db},
                                    {"share", layer.share}};
    if (layer.weight) entry["weight_sqnr_db"] = layer.weight->sqnr_db;
    if (layer.input) entry["input_sqnr_db"] = layer.input->sqnr_db;
    if (layer.result) entry["result_sqnr_db"] = layer.result->sqnr_db;
    if (std::ranges::find(worst, &layer) != worst.end()) {
      entry["cost"] = cost_text(layer);
      if (const auto cause = cause_of(layer)) {
        entry["cause"] = cause->name;
        entry["sentence"] = cause->sentence;
        entry["remedy"] = cause->remedy;
      }
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace nibble
