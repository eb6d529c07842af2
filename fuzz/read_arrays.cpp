// Any bytes as a .npy file, as a .npz (zip) archive whose entries are .npy files, and as a WAV
// file.
#include <array>

#include "data/npy.h"
#include "data/wav.h"
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
      fuzz::expect_error_at_most([&] { npy_header(extract_start(bytes, entry, 256)); });
    }
  });
  fuzz::expect_error_at_most([&] {
    const WavFormat format = parse_wav(bytes);
    std::array<float, 64> points;
    for (const int64_t begin : {int64_t{0}, format.points / 2, format.points - 1}) {
      if (begin >= 0) read_wav(bytes, format, begin, points);
    }
  });
  return 0;
}
