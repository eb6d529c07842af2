// How large a quantized graph will be as an ONNX file.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "nibble/target.h"

namespace nibble {

/// Estimate of serialize_onnx(graph, target).size() in QDQ form, within a few percent: constants
/// exactly, names and node headers by the encoding of protobuf.
int64_t estimate_file_bytes(const Graph& graph, const Target& target);

/// Bytes that the weight of each quantized layer takes in a file for `target`, without its scales;
/// by node name.
std::map<std::string, int64_t> stored_weight_bytes(const Graph& graph, const Target& target);

}  // namespace nibble
