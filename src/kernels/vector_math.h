// The functions of vector_math.inl for code that runs everywhere.
#pragma once

#include <cstdint>

namespace nibble {

#include "kernels/vector_math.inl"

}  // namespace nibble
