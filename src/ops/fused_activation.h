// The clamp that compile() fuses into the layer before it: attributes nibble_activation = "Relu" or
// "Clip" and, for Clip, nibble_activation_min and nibble_activation_max.
#pragma once

#include <limits>
#include <optional>

#include "nibble/graph.h"

namespace nibble {

struct FusedClamp {
  float low = 0;
  float high = std::numeric_limits<float>::infinity();

  float operator()(float x) const {
    x = x < low ? low : x;
    return x > high ? high : x;
  }
};

/// nullopt if the node has none.
inline std::optional<FusedClamp> fused_clamp(const Node& node) {
  if (!node.attributes.has("nibble_activation")) return std::nullopt;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const bool relu = node.attributes.text("nibble_activation", "") == "Relu";
  return FusedClamp{.low = node.attributes.real("nibble_activation_min", relu ? 0 : -kInfinity),
                    .high = node.attributes.real("nibble_activation_max", kInfinity)};
}

}  // namespace nibble
