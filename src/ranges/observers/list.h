// The observers: one row each, in the file of the same name.
#pragma once

#include <vector>

#include "ranges/observer.h"

namespace nibble {

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
