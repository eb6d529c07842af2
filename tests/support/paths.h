// Where the sources and the built programs lie. Only paths.cpp is compiled with the folders' names:
// all other objects are the same whatever folder they are built in.
#pragma once

#include <filesystem>

namespace nibble::testing {

std::filesystem::path source_dir();
std::filesystem::path binary_dir();

/// Training needs libtorch, which a build may leave out.
inline bool has_training() {
  return std::filesystem::exists(binary_dir() / "lib" / "libnibble_train.so");
}

}  // namespace nibble::testing
