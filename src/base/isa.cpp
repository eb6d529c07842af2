#include "nibble/isa.h"

#include <array>
#include <cstdlib>

#include "base/check.h"

namespace nibble {
namespace {

constexpr std::array kAll = {Isa::reference, Isa::portable, Isa::avx2, Isa::avx512_vnni};

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::reference:
      return "reference";
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512_vnni:
      return "avx512_vnni";
  }
  return "unknown";
}

// __builtin_cpu_supports reads XCR0 too: it says no where the operating system does not save the
// registers.
bool is_supported(Isa isa) {
  switch (isa) {
    case Isa::reference:
    case Isa::portable:
      return true;
    case Isa::avx2:
#if defined(__x86_64__)
      return __builtin_cpu_supports("avx2") != 0;
#else
      return false;
#endif
    case Isa::avx512_vnni:
#if defined(__x86_64__)
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
#else
      return false;
#endif
  }
  return false;
}

Isa best_isa() {
  if (const char* wanted = std::getenv("NIBBLE_ISA"); wanted != nullptr && *wanted != '\0') {
    for (const Isa isa : kAll) {
      if (name_of(isa) != wanted) continue;
      if (!is_supported(isa))
        fail(ErrorCode::invalid_argument, "NIBBLE_ISA is '{}', which this CPU lacks", wanted);
      return isa;
    }
    fail(ErrorCode::invalid_argument,
         "NIBBLE_ISA is '{}'; it may be reference, portable, avx2 or avx512_vnni", wanted);
  }
  Isa best = Isa::reference;
  for (const Isa isa : kAll) {
    if (is_supported(isa)) best = isa;
  }
  return best;
}

}  // namespace nibble
