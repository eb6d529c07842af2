// Printing which layers of a quantized network cost most, why, and what remedies gave.
#pragma once

#include <span>
#include <string>

#include "report/causes/figures.h"
#include "verbs/explain.h"

namespace nibble::cli {

/// The `most` layers that add most noise, and why, where the statistics show it.
void print_costs(std::span<const LayerFigures> layers, size_t most);
/// A table of what was tried; `names` are the float model's and the quantized one's.
void print_explanation(const std::vector<std::string>& names, const Explanation& explanation,
                       const RunSettings& run);

}  // namespace nibble::cli
