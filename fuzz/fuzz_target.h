// What every fuzz target shares: bad input must end in nibble::Error and in nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nibble/error.h"

namespace nibble::fuzz {

/// Runs `body`; an Error is the right answer to bad input. Anything else leaves, and libFuzzer
/// reports it.
template <typename Body>
void expect_error_at_most(Body&& body) {
  try {
    body();
  } catch (const Error&) {
  }
}

inline std::string_view as_text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace nibble::fuzz

/// libFuzzer's entry; always gives 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
