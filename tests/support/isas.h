#pragma once

#include <vector>

#include "kernels/isa_table.h"

namespace nibble::test {

/// Every instruction set of this build, whether this CPU has it or not.
inline std::vector<Isa> all_isas() {
  std::vector<Isa> all;
  for (const IsaRow& row : isa_table()) all.push_back(row.isa);
  return all;
}

}  // namespace nibble::test
