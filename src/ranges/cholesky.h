// Cholesky's factorisation, in double.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"

namespace nibble {

/// Replaces the lower triangle of the symmetric matrix `a` [n, n] (of which it is all that is read)
/// by L with L L^T = a; what is above the diagonal is left as it was. False if a pivot is not
/// positive: `a` then holds neither. The result does not depend on the number of threads.
bool factor_cholesky(std::span<double> a, int64_t n, ThreadPool& pool);

}  // namespace nibble
