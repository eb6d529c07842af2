// The observers: one row each, in the file of the same name.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "ranges/observer.h"

namespace nibble {

/// What the values reach, and zero.
inline std::pair<double, double> whole_range(const TensorRange& range) {
  return {std::min(0.0, static_cast<double>(range.total.minimum)),
          std::max(0.0, static_cast<double>(range.total.maximum))};
}

/// ObserverRow::weight of those that clip no weight.
inline float widest_scale(std::span<const float>, const BitCodes&, float widest, double) {
  return widest;
}

ObserverRow entropy_observer();
ObserverRow min_max_observer();
ObserverRow moving_average_observer();
ObserverRow mse_observer();
ObserverRow percentile_observer();

// One to a line, as help lists them.
// clang-format off
inline std::vector<ObserverRow> observer_rows() {
  return {
      min_max_observer(),
      moving_average_observer(),
      mse_observer(),
      percentile_observer(),
      entropy_observer(),
  };
}
// clang-format on

}  // namespace nibble
