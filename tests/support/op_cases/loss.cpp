// The losses of training.
#include <cmath>

#include "support/op_cases/lists.h"

namespace nibble::testing {

std::vector<OpCase> loss_cases() {
  const Tensor scores = f32({2, 2}, {0, 0, 0, std::log(3.0F)});
  const Tensor labels = i64({2}, {0, 1});
  const float half = std::log(2.0F), quarter = std::log(4.0F / 3);
  return {
      {"SoftmaxCrossEntropyLoss", {scores, labels}, {f32({}, {(half + quarter) / 2})}},
      {"SoftmaxCrossEntropyLoss",
       {scores, labels},
       {f32({2}, {half, quarter}), f32({2, 2}, {-half, -half, -std::log(4.0F), -quarter})},
       {{"reduction", text("none")}}},
      {"SoftmaxCrossEntropyLoss",
       {scores, labels, f32({2}, {1, 3})},
       {f32({}, {(half + 3 * quarter) / 4})}},
      {"NegativeLogLikelihoodLoss",
       {f32({1, 2, 2}, {1, 2, 3, 4}), i64({1, 2}, {1, -7})},
       {f32({}, {-3})},
       {{"ignore_index", int64_t{-7}}}},
  };
}

}  // namespace nibble::testing
