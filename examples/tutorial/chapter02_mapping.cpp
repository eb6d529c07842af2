// Chapter 2, mapping reals to integers: scale, zero point, rounding and clipping in plain
// arithmetic, and the same by the library. Fails if the two differ in a single code.
#include <nibble/error.h>
#include <nibble/tensor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>

int main() try {
  constexpr std::array<float, 6> kNumbers = {-1.0F, -0.004F, 0.0F, 0.5F, 2.0F, 3.0F};
  // A ruler from -1 to 2 with 256 marks.
  const double low = -1, high = 2;
  const auto scale = static_cast<float>((high - low) / 255);
  const auto zero_point = static_cast<int32_t>(std::nearbyint(-low / scale));

  const nibble::QuantParams ruler{.storage = nibble::DType::u8,
                                  .qmin = 0,
                                  .qmax = 255,
                                  .scale = {scale},
                                  .zero_point = {zero_point}};
  const nibble::Tensor real = nibble::Tensor::of<float>({6}, std::span<const float>(kNumbers));
  const nibble::Tensor codes = nibble::quantize_tensor(real, ruler);
  const nibble::Tensor back = nibble::dequantize_tensor(codes, ruler);

  std::printf("scale %.7f, zero point %d\n", static_cast<double>(scale), zero_point);
  for (size_t i = 0; i < kNumbers.size(); ++i) {
    const float steps = std::nearbyint(kNumbers[i] / scale);  // ties to even
    const int code = std::clamp(static_cast<int>(steps) + zero_point, 0, 255);
    std::printf("%7.3f -> code %3d -> %8.5f\n", static_cast<double>(kNumbers[i]), code,
                static_cast<double>(back.data<float>()[i]));
    if (code != codes.data<uint8_t>()[i]) {
      std::fprintf(stderr, "chapter02_mapping: the library says %d\n", codes.data<uint8_t>()[i]);
      return 1;
    }
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter02_mapping: %s\n", error.what());
  return 1;
}
