#include "passes/targets/list.h"

namespace nibble {

// Its sums are exact on every CPU.
Target native_target() {
  return {.name = "native",
          .title = "Nibble",
          .summary = "Nibble's own runtime: every type, and exact sums"};
}

}  // namespace nibble
