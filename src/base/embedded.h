// Files that are part of the program (cmake/EmbedFolder.cmake).
#pragma once

#include <span>
#include <string_view>

namespace nibble {

struct EmbeddedFile {
  std::string_view path;  // below the folder
  bool executable = false;
  std::span<const unsigned char> bytes;
};

}  // namespace nibble
