// How large a quantized graph will be as an ONNX file.
#pragma once

#include <cstdint>

#include "nibble/graph.h"

namespace nibble {

/// Bytes of `weights` integers of `bits` bits in a file: packed as int2, int4 (3 bits too) or int8.
int64_t stored_weight_bytes(int64_t weights, int bits);

/// Estimate of serialize_onnx(graph).size() in QDQ form, within a few percent: constants exactly,
/// names and node headers by the encoding of protobuf.
int64_t estimate_file_bytes(const Graph& graph);

}  // namespace nibble
