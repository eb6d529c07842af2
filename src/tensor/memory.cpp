#include "tensor/memory.h"

#include <unistd.h>

#include "base/check.h"

namespace nibble {
namespace {

uint64_t physical_memory() {
  static const auto bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                            static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
  return bytes;
}

}  // namespace

void require_memory(DType dtype, const Shape& shape) {
  const size_t bytes = storage_bytes(dtype, shape.elements());
  if (bytes <= physical_memory()) return;
  fail(ErrorCode::invalid_model, "{}{} takes {:.3g} GB, more than the memory of this machine",
       name_of(dtype), shape.to_string(), static_cast<double>(bytes) / 1e9);
}

}  // namespace nibble
