#include "base/check.h"

namespace nibble {

void check(bool condition, std::string_view message, std::source_location where) {
  if (condition) return;
  throw InternalError(
      fmt::format("internal error at {}:{}: {}", where.file_name(), where.line(), message));
}

}  // namespace nibble
