// check(): a programmer's mistake, never bad input. On in release builds, outside inner loops.
// fail(): throws nibble::Error with a formatted sentence.
#pragma once

#include <fmt/format.h>

#include <source_location>
#include <string_view>
#include <utility>

#include "nibble/error.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Throws std::logic_error naming the place when `condition` is false.
void check(bool condition, std::string_view message,
           std::source_location where = std::source_location::current());

template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nibble
#pragma GCC visibility pop
