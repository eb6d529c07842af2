// The layers with weights that quantize() leaves in float.
#pragma once

#include <string>
#include <vector>

#include "quant/node_cost.h"
#include "quant/node_plan.h"

namespace nibble {

/// Every node with weights that stays in float, in execution order; those in bodies come last.
/// `plans` of the graphs that are open.
std::vector<QuantizeReport::Skipped> layers_left_in_float(
    const OpenGraphs& open, const std::vector<QuantizationPlan>& plans, const BitPlan& bits,
    const QuantizeOptions& options);

}  // namespace nibble
