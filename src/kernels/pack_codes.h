// Codes known only when running, packed as the right-hand side of the micro kernels: less 128,
// which makes them signed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/micro.h"

namespace nibble {

/// The matrix b[depth, columns] as blocks of micro.lanes columns, each block_bytes after the last;
/// what pads quads and blocks is zero. In pack_rows() b[k, n] is at b[k * step + n], in
/// pack_columns() at b[n * step + k].
struct PackShape {
  int64_t depth = 0, columns = 0;
  int64_t step = 0;
  int64_t block_bytes = 0;
};
void pack_rows(const PackShape& shape, const uint8_t* b, const MicroKernels& micro, std::byte* out);
void pack_columns(const PackShape& shape, const uint8_t* b, const MicroKernels& micro,
                  std::byte* out);

}  // namespace nibble
