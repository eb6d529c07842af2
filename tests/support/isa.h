// Running a body by each instruction set that this CPU has.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "nibble/isa.h"

namespace nibble::testing {

/// Calls body() once for each supported instruction set, with NIBBLE_ISA naming it; the variable is
/// as before afterwards. At least `reference` and `portable` always run.
template <typename Body>
void with_each_isa(const Body& body) {
  const char* variable = std::getenv("NIBBLE_ISA");
  const auto before = variable ? std::optional<std::string>(variable) : std::nullopt;
  for (const Isa isa : {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512_vnni}) {
    if (!is_supported(isa)) continue;
    SCOPED_TRACE(name_of(isa));
    setenv("NIBBLE_ISA", std::string(name_of(isa)).c_str(), 1);
    body();
  }
  before ? setenv("NIBBLE_ISA", before->c_str(), 1) : unsetenv("NIBBLE_ISA");
}

}  // namespace nibble::testing
