#include "support/paths.h"

namespace nibble::testing {

std::filesystem::path source_dir() { return NIBBLE_SOURCE_DIR; }
std::filesystem::path binary_dir() { return NIBBLE_BINARY_DIR; }

}  // namespace nibble::testing
