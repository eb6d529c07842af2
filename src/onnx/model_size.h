// How much a model takes on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "nibble/target.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Bytes of an ONNX file and of the files that hold its constants (external data), each counted
/// once and as a whole. None if one of them is no regular file; the file alone if it is no model.
std::optional<uint64_t> size_of_model(const std::filesystem::path& path);

/// Bytes that save_onnx() would write.
int64_t size_as_onnx(const Graph& graph, const Target& target);

}  // namespace nibble
#pragma GCC visibility pop
