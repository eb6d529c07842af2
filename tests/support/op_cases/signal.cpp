// Fourier transforms and windows.
#include "support/op_cases/lists.h"

namespace nibble::testing {

std::vector<OpCase> signal_cases() {
  const Attribute symmetric = int64_t{0};
  return {
      {"DFT", {f32({1, 2, 1}, {1, 2})}, {f32({1, 2, 2}, {3, 0, -1, 0})}},
      {"STFT",
       {f32({1, 6, 1}, {1, 2, 3, 4, 5, 6}), i64({}, {2}), f32({2}, {1, 0.5F})},
       {f32({1, 3, 2, 2}, {2, 0, 0, 0, 5, 0, 1, 0, 8, 0, 2, 0})}},
      {"HannWindow", {i32({}, {4})}, {f32({4}, {0, 0.5F, 1, 0.5F})}},
      {"HannWindow", {i32({}, {3})}, {f32({3}, {0, 1, 0})}, {{"periodic", symmetric}}},
      {"HannWindow", {i32({}, {1})}, {f32({1}, {1})}, {{"periodic", symmetric}}},
      {"HammingWindow", {i32({}, {2})}, {f32({2}, {4.0F / 46, 1})}},
      {"BlackmanWindow", {i32({}, {2})}, {f32({2}, {0, 1})}},
  };
}

}  // namespace nibble::testing
