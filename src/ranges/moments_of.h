// From one pass over a run of values to its moments.
#pragma once

#include "kernels/survey.h"
#include "nibble/ranges.h"

namespace nibble {

/// Of `count` values, all finite, of which `first` is the first.
Moments moments_of(const Survey& found, float first, int64_t count);

}  // namespace nibble
