// The rounding methods of this module: one row each, in the file of the same name. Modules above it
// add theirs with a RoundingRegistration.
#pragma once

#include <vector>

#include "ranges/rounding.h"

namespace nibble {

RoundingRow gptq_rounding();
RoundingRow nearest_rounding();

// One to a line, sorted.
// clang-format off
inline std::vector<RoundingRow> rounding_rows() {
  return {
      gptq_rounding(),
      nearest_rounding(),
  };
}
// clang-format on

}  // namespace nibble
