// Reading and writing whole files, such that a file is either complete or untouched.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// The whole file as bytes. Throws Error{io} naming the file.
std::string read_file(const std::filesystem::path& path);
/// Bytes [offset, offset + length). Throws Error{io} if the file has not that many.
std::string read_file_range(const std::filesystem::path& path, int64_t offset, int64_t length);

/// Writes to a temporary name beside `path`, syncs, then renames: an error (a full disk, say)
/// leaves `path` as it was and removes the temporary. Symbolic links are followed and stay; what is
/// no regular file (a pipe, a device) is written to as it stands. Throws Error{io}.
void write_file(const std::filesystem::path& path, std::string_view bytes);

}  // namespace nibble
#pragma GCC visibility pop
