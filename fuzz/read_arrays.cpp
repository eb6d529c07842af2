// Any bytes as a .npy file, and as a .npz (zip) archive whose entries are .npy files.
#include "data/npy.h"
#include "fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nibble;
  const std::span<const uint8_t> bytes(data, size);
  fuzz::expect_error_at_most([&] { npy_tensor(bytes); });
  fuzz::expect_error_at_most([&] {
    for (const ZipEntry& entry : zip_entries(bytes)) {
      constexpr uint64_t kEnough = uint64_t{1} << 24;
      if (entry.size > kEnough) continue;
      fuzz::expect_error_at_most([&] { npy_tensor(extract(bytes, entry)); });
    }
  });
  return 0;
}
