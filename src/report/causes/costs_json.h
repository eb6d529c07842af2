// What layers cost and why, as JSON: what a run keeps of layer_figures() and causes.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "report/causes/figures.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Of each layer its figures; of the costliest, `most` of them, a sentence, the cause if one is
/// found, and a remedy to try. An SQNR that is infinite is null.
nlohmann::ordered_json costs_json(std::span<const LayerFigures> layers, size_t most = 8);

}  // namespace nibble
#pragma GCC visibility pop
