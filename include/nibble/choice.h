// What may be chosen by name: the rows of a table, as help, error messages and bindings list them.
#pragma once

#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

struct Choice {
  std::string_view name;
  std::string_view summary;  // what it does, in half a sentence
};

}  // namespace nibble
#pragma GCC visibility pop
