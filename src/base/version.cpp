#include "nibble/version.h"

namespace nibble {

// NIBBLE_VERSION is the version of the CMake project, given to this file alone.
std::string_view version() { return NIBBLE_VERSION; }

}  // namespace nibble
