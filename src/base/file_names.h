// File names for things whose own names may hold any character.
#pragma once

#include <span>
#include <string>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

/// One file name, without an extension, for each of `names`, no two alike. A name that can be one
/// stays as it is; in others '/', '\', ':' and control characters become '_', and more than 200
/// bytes are cut off. Where that makes two names alike, the later one gets "-2", "-3", ... The
/// result depends on `names` alone.
std::vector<std::string> file_names(std::span<const std::string> names);

}  // namespace nibble
#pragma GCC visibility pop
