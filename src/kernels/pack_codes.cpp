#include "kernels/pack_codes.h"

#include <algorithm>
#include <cstring>

namespace nibble {
namespace {

constexpr int64_t kMostLanes = 16;
constexpr uint32_t kSigns = 0x80808080U;  // flipped, they take 128 away from each of four bytes

// In the form that is right for all weights.
int64_t quad_bytes(const MicroKernels& micro) {
  return format_bytes(micro.any().format, micro.lanes, 1);
}

// Calls pack(quad, first row, rows, first column, columns) for every quad of every block.
template <typename Pack>
void for_each_quad(const PackShape& shape, const MicroKernels& micro, std::byte* out,
                   const Pack& pack) {
  for (int64_t first = 0; first < shape.columns; first += micro.lanes) {
    std::byte* quad = out + first / micro.lanes * shape.block_bytes;
    const int64_t lanes = std::min<int64_t>(micro.lanes, shape.columns - first);
    for (int64_t k = 0; k < shape.depth; k += 4, quad += quad_bytes(micro)) {
      pack(quad, k, std::min<int64_t>(4, shape.depth - k), first, lanes);
    }
  }
}

// Any quad of any format, byte by byte.
template <typename At>
void pack_slowly(std::byte* quad, int64_t rows, int64_t lanes, const MicroKernels& micro,
                 const At& at) {
  std::memset(quad, 0, static_cast<size_t>(quad_bytes(micro)));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int value = at(i, lane) - 128;
      if (micro.any().format == WeightFormat::quads_s8) {
        quad[lane * 4 + i] = static_cast<std::byte>(value);
      } else {
        auto* pairs = reinterpret_cast<int16_t*>(quad) + i % 2 * micro.lanes * 2 + i / 2;
        pairs[lane * 2] = static_cast<int16_t>(value);
      }
    }
  }
}

bool is_whole(const MicroKernels& micro, int64_t rows, int64_t lanes) {
  return micro.any().format == WeightFormat::quads_s8 && rows == 4 && lanes == micro.lanes &&
         lanes <= kMostLanes;
}

}  // namespace

void pack_rows(const PackShape& shape, const uint8_t* b, const MicroKernels& micro,
               std::byte* out) {
  for_each_quad(
      shape, micro, out, [&](std::byte* quad, int64_t k, int64_t rows, int64_t n, int64_t lanes) {
        const uint8_t* from = b + k * shape.step + n;
        if (!is_whole(micro, rows, lanes)) {
          return pack_slowly(quad, rows, lanes, micro,
                             [&](int64_t i, int64_t lane) { return from[i * shape.step + lane]; });
        }
        const uint8_t *r0 = from, *r1 = from + shape.step, *r2 = r1 + shape.step,
                      *r3 = r2 + shape.step;
        uint32_t words[kMostLanes];
        for (int64_t lane = 0; lane < lanes; ++lane) {
          words[lane] = (uint32_t{r0[lane]} | uint32_t{r1[lane]} << 8U | uint32_t{r2[lane]} << 16U |
                         uint32_t{r3[lane]} << 24U) ^
                        kSigns;
        }
        std::memcpy(quad, words, static_cast<size_t>(lanes) * 4);
      });
}

void pack_columns(const PackShape& shape, const uint8_t* b, const MicroKernels& micro,
                  std::byte* out) {
  for_each_quad(
      shape, micro, out, [&](std::byte* quad, int64_t k, int64_t rows, int64_t n, int64_t lanes) {
        const uint8_t* from = b + n * shape.step + k;
        if (!is_whole(micro, rows, lanes)) {
          return pack_slowly(quad, rows, lanes, micro,
                             [&](int64_t i, int64_t lane) { return from[lane * shape.step + i]; });
        }
        for (int64_t lane = 0; lane < lanes; ++lane) {
          uint32_t word;
          std::memcpy(&word, from + lane * shape.step, 4);
          word ^= kSigns;
          std::memcpy(quad + lane * 4, &word, 4);
        }
      });
}

}  // namespace nibble
