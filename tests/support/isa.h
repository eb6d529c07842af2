// Tests by instruction set.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "kernels/isa_table.h"

namespace nibble::testing {

/// Every instruction set of this build, whether this CPU has it or not.
inline std::vector<Isa> all_isas() {
  std::vector<Isa> all;
  for (const IsaRow& row : isa_table()) all.push_back(row.isa);
  return all;
}

/// Those that this CPU has.
inline std::vector<Isa> supported_isas() {
  std::vector<Isa> all = all_isas();
  std::erase_if(all, [](Isa isa) { return !is_supported(isa); });
  return all;
}

/// Calls body() once for each instruction set that this CPU has, kernels being made for that one.
template <typename Body>
void with_each_isa(const Body& body) {
  for (const Isa isa : supported_isas()) {
    SCOPED_TRACE(name_of(isa));
    const ScopedIsa scope(isa);
    body();
  }
}

}  // namespace nibble::testing
