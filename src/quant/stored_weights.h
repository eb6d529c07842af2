// What weights take in an ONNX file.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "nibble/target.h"

namespace nibble {

/// Bytes that the weight of each quantized layer takes in a file for `target`, without its scales;
/// by node name.
std::map<std::string, int64_t> stored_weight_bytes(const Graph& graph, const Target& target);

}  // namespace nibble
