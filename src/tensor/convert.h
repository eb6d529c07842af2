// One element from one type to another: what convert() and operator Cast do.
//
// Float to integer truncates towards zero; what does not fit wraps (modulo 2^bits) as numpy on x86
// does, and what does not even fit int64, NaN included, becomes its lowest value.
#pragma once

#include <cstdint>
#include <type_traits>

#include "nibble/tensor.h"

namespace nibble {

/// Truncated towards zero; INT64_MIN where that does not fit.
template <typename From>
int64_t integer_of(From value) {
  if constexpr (std::is_floating_point_v<From>) {
    const bool fits = value >= static_cast<From>(-0x1.0p63) && value < static_cast<From>(0x1.0p63);
    return fits ? static_cast<int64_t>(value) : INT64_MIN;
  } else {
    return static_cast<int64_t>(value);
  }
}

template <typename From, typename To>
To convert_element(From value) {
  if constexpr (std::is_same_v<From, To>) {
    return value;
  } else if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>) {
    return convert_element<float, To>(to_float(value));
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else if constexpr (std::is_same_v<To, uint64_t> && std::is_floating_point_v<From>) {
    if (value >= static_cast<From>(0x1.0p63) && value < static_cast<From>(0x1.0p64)) {
      return static_cast<uint64_t>(value);
    }
    return static_cast<uint64_t>(integer_of(value));
  } else {
    return static_cast<To>(integer_of(value));
  }
}

}  // namespace nibble
