// Reads a gzipped tar archive of regular files (POSIX ustar) into memory.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace nibble::testing {

/// Path in the archive -> contents.
std::map<std::string, std::string> read_tar_gz(const std::filesystem::path& path);

}  // namespace nibble::testing
