// Integers of packed storage, a part at a time: nobody needs all of a large weight as int32.
#pragma once

#include <cstdint>
#include <span>

#include "nibble/tensor.h"

namespace nibble {

/// Elements `first` and following of an integer tensor, in row-major order; as many as `values` has
/// room for.
void unpack_integers(const Tensor& tensor, int64_t first, std::span<int32_t> values);

/// The same, all of them, in parts of some thousands: visit(first, values).
template <typename Visit>
void for_each_part(const Tensor& tensor, const Visit& visit) {
  constexpr int64_t kPart = 4096;
  int32_t values[kPart];
  const int64_t elements = tensor.elements();
  for (int64_t first = 0; first < elements; first += kPart) {
    const int64_t count = elements - first < kPart ? elements - first : kPart;
    const std::span part(values, static_cast<size_t>(count));
    unpack_integers(tensor, first, part);
    visit(first, std::span<const int32_t>(part));
  }
}

}  // namespace nibble
