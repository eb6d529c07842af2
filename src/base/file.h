// Reading and writing whole files, such that a file is either complete or untouched.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// The whole file as bytes. Throws Error{io} naming the file.
std::string read_file(const std::filesystem::path& path);
/// Bytes [offset, offset + length). Throws Error{io} if the file has not that many.
std::string read_file_range(const std::filesystem::path& path, int64_t offset, int64_t length);

/// Writes to a temporary name beside `path`, syncs, then renames: an error (a full disk, say)
/// leaves `path` as it was and removes the temporary. A file that is replaced keeps its mode and,
/// where that is allowed, its owner. Symbolic links are followed and stay; what is no regular file
/// (a pipe, a device) is written to as it stands. Throws Error{io}.
void write_file(const std::filesystem::path& path, std::string_view bytes);
/// From now on this process writes no file: write_file() and check_writable() do nothing. For those
/// of several processes that do the same as the one that writes.
void write_no_files();
/// It may.
bool writes_files();
/// Throws the Error{io} that write_file() would: to be asked before hours are spent on the content.
void check_writable(const std::filesystem::path& path);

/// Size of a regular file; none of a pipe or a device, and of what is not there.
std::optional<uint64_t> size_of_file(const std::filesystem::path& path);

}  // namespace nibble
#pragma GCC visibility pop
