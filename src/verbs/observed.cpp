#include "verbs/observed.h"

#include "base/check.h"
#include "ranges/observer.h"

namespace nibble {

std::vector<ObservedGrid> observed_grids(const TensorRange& range, int bits, bool symmetric) {
  if (bits < 2 || bits > 8) {
    fail(ErrorCode::invalid_argument, "a grid has 2 to 8 bits, not {}", bits);
  }
  std::vector<ObservedGrid> grids;
  if (range.is_weight || !range.unusable.empty() || range.total.count == 0) return grids;
  for (const ObserverRow& row : observers()) {
    const QuantParams params =
        activation_params(range, bits, row, symmetric ? Symmetry::symmetric : Symmetry::asymmetric);
    const auto scale = static_cast<double>(params.scale[0]);
    const int32_t zero = params.zero_point[0];
    grids.push_back({.observer = row.name,
                     .scale = params.scale[0],
                     .zero_point = zero,
                     .low = scale * (params.qmin - zero),
                     .high = scale * (params.qmax - zero)});
  }
  return grids;
}

}  // namespace nibble
