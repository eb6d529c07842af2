// How much a model takes on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#pragma GCC visibility push(default)
namespace nibble {

/// Bytes of an ONNX file and of the files that hold its constants (external data), each counted
/// once and as a whole. None if one of them is no regular file; the file alone if it is no model.
std::optional<uint64_t> size_of_model(const std::filesystem::path& path);

}  // namespace nibble
#pragma GCC visibility pop
