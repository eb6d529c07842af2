// The grid of DynamicQuantizeLinear.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "kernels/output_stage.h"

namespace nibble {

/// u8 over [min(x, 0), max(x, 0)], so that zero is exact: scale (max - min) / 255 in f32. All zeros
/// (or nothing): scale 1. Allocates nothing.
RunTimeGrid dynamic_grid(std::span<const float> values, ThreadPool& pool);

}  // namespace nibble
