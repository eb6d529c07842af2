// MaxPool and GlobalMaxPool, in reals and bytes.
#pragma once

#include <string_view>

#include "ops/eval.h"
#include "ops/pooling/pool_windows.h"

namespace nibble {

struct MaxPool {
  static constexpr std::string_view kName = "max pool";
  PoolProblem problem;

  /// Of f32, f64, i8 and u8; with the second output, the indices of what it took.
  void operator()(EvalContext& context) const;
};

}  // namespace nibble
