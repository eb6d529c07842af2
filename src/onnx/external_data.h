// Models that do not fit into one protobuf message: the elements of large constants go into a file
// beside it.
#pragma once

#include <filesystem>
#include <string>

#include "nibble/graph.h"
#include "nibble/target.h"
#include "onnx/proto.h"

namespace nibble {

/// What one file holds at most: protobuf counts bytes in 31 bits.
inline constexpr size_t kMostBytesOfModel = (size_t{1} << 31U) - 1;

/// Takes the elements of all constants of a kilobyte and more out of the graph and its bodies,
/// which refer to them in the file `location` from then on. Returns that file's content; each
/// constant starts at a multiple of 64 bytes.
std::string take_out_data(schema::GraphProto& graph, const std::string& location);

/// As save_onnx; a model of more than `most_bytes` gets its constants in a file of its own, named
/// as the model's with ".data" behind.
void save_onnx_within(const Graph& graph, const std::filesystem::path& path, const Target& target,
                      size_t most_bytes);

}  // namespace nibble
