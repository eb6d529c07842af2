// Recurrent cells of one unit and one step.
#include "support/op_cases/lists.h"

namespace nibble::testing {

std::vector<OpCase> recurrent_cases() {
  const Tensor x = f32({1, 1, 1}, {0.5F});
  const Tensor one = f32({1, 1, 1}, {1});
  const std::vector<std::pair<std::string, Attribute>> unit = {{"hidden_size", int64_t{1}}};
  // With weights of zero every gate is one half.
  const float half_tanh_half = 0.23105858F;
  return {
      {"RNN",
       {x, one, one},
       {f32({1, 1, 1, 1}, {0.46211716F}), f32({1, 1, 1}, {0.46211716F})},
       unit},
      {"GRU",
       {x, f32({1, 3, 1}, {0, 0, 0}), f32({1, 3, 1}, {0, 0, 0}), {}, {}, one},
       {f32({1, 1, 1, 1}, {0.5F}), f32({1, 1, 1}, {0.5F})},
       unit},
      {"LSTM",
       {x, f32({1, 4, 1}, {0, 0, 0, 0}), f32({1, 4, 1}, {0, 0, 0, 0}), {}, {}, one, one},
       {f32({1, 1, 1, 1}, {half_tanh_half}), f32({1, 1, 1}, {half_tanh_half}),
        f32({1, 1, 1}, {0.5F})},
       unit},
  };
}

}  // namespace nibble::testing
