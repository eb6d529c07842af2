// Any bytes as a JPEG or PNG file. What says that it is large is not decoded: that is slow, not
// wrong.
#include "data/image.h"
#include "fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nibble;
  const std::span<const uint8_t> bytes(data, size);
  fuzz::expect_error_at_most([&] {
    constexpr int64_t kEnough = int64_t{1} << 20;
    const ImageSize announced = image_size(bytes);
    if (int64_t{announced.height} * announced.width <= kEnough) decode_image(bytes);
  });
  return 0;
}
