// Small pieces of text for people.
#pragma once

#include <cstdint>
#include <string>

#pragma GCC visibility push(default)
namespace nibble {

/// 1234567 -> "1,234,567".
std::string group_digits(int64_t value);

}  // namespace nibble
#pragma GCC visibility pop
