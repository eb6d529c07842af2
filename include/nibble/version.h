// The version of the library.
#pragma once

#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// "0.2.0": of the library that is loaded, which may be newer than the headers compiled against.
std::string_view version();

}  // namespace nibble
#pragma GCC visibility pop
