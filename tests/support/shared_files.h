// Real models and data for tests, which the repository does not contain: found in ../shared or
// $NIBBLE_SHARED.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/paths.h"

namespace nibble::testing {

inline std::filesystem::path shared_root() {
  if (const char* root = std::getenv("NIBBLE_SHARED")) return root;
  return source_dir() / ".." / "shared";
}

/// The path below the shared folder, or an empty path if it is not there.
inline std::filesystem::path find_shared(const std::string& relative) {
  const std::filesystem::path path = shared_root() / relative;
  return std::filesystem::exists(path) ? path : std::filesystem::path();
}

}  // namespace nibble::testing

/// Declares `variable` as the path of a shared file, or skips the test by name.
#define NIBBLE_SHARED_FILE(variable, relative)                                   \
  const std::filesystem::path variable = nibble::testing::find_shared(relative); \
  if (variable.empty()) GTEST_SKIP() << "shared file " << relative << " is not here"
