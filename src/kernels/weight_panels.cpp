#include "kernels/weight_panels.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace nibble {
namespace {

// Of one quad, or of several: the largest and, without its sign, the smallest sums that its two
// pairs reach.
using PairReach = std::array<int32_t, 4>;

PairReach reach_of(const int8_t* quad) {
  const auto above = [&](int i) { return std::max<int32_t>(quad[i], 0); };
  const auto below = [&](int i) { return std::max<int32_t>(-quad[i], 0); };
  return {above(0) + above(1), above(2) + above(3), below(0) + below(1), below(2) + below(3)};
}

// The longest run, at most `most`, whose reaches do not exceed `limit`; those given, of the quads
// of a segment, are spent.
int64_t longest_run(std::span<PairReach> reaches, int32_t limit, int64_t most) {
  size_t count = reaches.size();
  for (int64_t run = 1;; run *= 2) {
    int32_t worst = 0;
    for (const PairReach& reach : reaches.first(count)) {
      for (const int32_t sum : reach) worst = std::max(worst, sum);
    }
    if (worst > limit) return run / 2;
    if (run == most || count == 1) return most;
    for (size_t i = 0; i < count / 2; ++i) {
      for (size_t j = 0; j < 4; ++j) reaches[i][j] = reaches[2 * i][j] + reaches[2 * i + 1][j];
    }
    if (count % 2 != 0) reaches[count / 2] = reaches[count - 1];
    count = (count + 1) / 2;
  }
}

// Bytes of quads_s8 in the order of another format: `quads` quads of a segment.
void to_nibbles(const std::byte* from, int64_t lanes, int64_t quads, std::byte* to) {
  const int64_t width = lanes * 4;
  const auto nibble = [](std::byte weight) {
    return static_cast<uint8_t>(static_cast<uint8_t>(weight) + 8U) & 15U;
  };
  for (; quads > 0; quads -= 2, from += 2 * width, to += width) {
    for (int64_t i = 0; i < width; ++i) {
      const unsigned second = quads > 1 ? nibble(from[width + i]) : 8U;
      to[i] = static_cast<std::byte>(nibble(from[i]) | second << 4U);
    }
  }
}

void to_pairs(const std::byte* from, int64_t lanes, int64_t quads, std::byte* to) {
  for (; quads > 0; --quads, from += lanes * 4, to += lanes * 8) {
    for (int64_t i = 0; i < 4; ++i) {
      std::byte* half = to + i % 2 * lanes * 4 + i / 2 * 2;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int16_t weight = static_cast<int8_t>(from[lane * 4 + i]);
        std::memcpy(half + lane * 4, &weight, 2);
      }
    }
  }
}

}  // namespace

void WeightView::copy(int64_t first, int64_t count, int8_t* rows) const {
  const int8_t* from = data + first * output_step;
  if (outer == 1 && inner_step == 1 && output_step == inner) {
    std::copy_n(from, count * inner, rows);
    return;
  }
  if (output_step == 1) {  // channels side by side
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        const int8_t* at = from + o * outer_step + i * inner_step;
        for (int64_t c = 0; c < count; ++c) rows[c * depth() + o * inner + i] = at[c];
      }
    }
    return;
  }
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t o = 0; o < outer; ++o) {
      const int8_t* at = from + c * output_step + o * outer_step;
      for (int64_t i = 0; i < inner; ++i) *rows++ = at[i * inner_step];
    }
  }
}

void WeightBounds::add(std::span<const int8_t> row, const QuadShape& shape) {
  int64_t sum = 0;
  for (const int8_t w : row) {
    low = std::min(low, w);
    high = std::max(high, w);
    sum += std::abs(w);
  }
  magnitudes = std::max(magnitudes, sum);
  // Sums of weights whose products with codes fit 16 bits, both ways.
  const int32_t limit = std::numeric_limits<int16_t>::max() / std::max(greatest_code, 1);
  const int32_t most = std::max<int32_t>(high, -low);
  if (run == 0 || 2 * most * run <= limit) return;
  std::vector<PairReach> reaches(static_cast<size_t>(shape.segment_quads()));
  for (int64_t s = 0; s < shape.segments && run > 0; ++s) {
    const int8_t* segment = row.data() + s * shape.segment;
    const int64_t whole = shape.segment / 4;
    for (int64_t q = 0; q < whole; ++q) reaches[static_cast<size_t>(q)] = reach_of(segment + 4 * q);
    if (whole < shape.segment_quads()) {
      int8_t quad[4] = {};
      std::copy(segment + 4 * whole, segment + shape.segment, quad);
      reaches[static_cast<size_t>(whole)] = reach_of(quad);
    }
    run = longest_run(reaches, limit, run);
  }
}

const MicroForm& form_for(const MicroKernels& kernels, const WeightBounds& bounds) {
  const auto takes = [&](const MicroForm& form) {
    const bool fits = form.format != WeightFormat::nibbles || (bounds.low >= -8 && bounds.high < 8);
    const int64_t most = (bounds.magnitudes * bounds.greatest_code) << form.shift;
    return fits && bounds.run >= form.least_run &&
           (form.shift == 0 || most <= std::numeric_limits<int32_t>::max());
  };
  const auto form = std::ranges::find_if(kernels.forms, takes);
  return form == kernels.forms.end() ? kernels.any() : *form;
}

int64_t block_bytes(const MicroForm& form, int64_t lanes, const QuadShape& shape) {
  return shape.segments * format_bytes(form.format, lanes, shape.segment_quads());
}

void pack_block(const MicroForm& form, int64_t lanes, const QuadShape& shape,
                std::span<const int8_t> rows, std::byte* block) {
  const auto channels = static_cast<int64_t>(rows.size()) / shape.depth();
  const int64_t quads = shape.segment_quads();
  // In the order of quads_s8 first, segment by segment.
  const bool is_final = form.format == WeightFormat::quads_s8;
  std::vector<std::byte> buffer(is_final ? 0 : static_cast<size_t>(quads * lanes * 4));
  for (int64_t s = 0; s < shape.segments; ++s) {
    std::byte* to = is_final ? block : buffer.data();
    if (channels < lanes) std::fill_n(to, quads * lanes * 4, std::byte{0});
    for (int64_t c = 0; c < channels; ++c) {
      const int8_t* row = rows.data() + c * shape.depth() + s * shape.segment;
      const int64_t whole = shape.segment / 4;
      std::byte* quad = to + c * 4;
      for (int64_t q = 0; q < whole; ++q) std::memcpy(quad + q * lanes * 4, row + q * 4, 4);
      if (whole < quads) {
        int8_t last[4] = {};
        std::copy(row + 4 * whole, row + shape.segment, last);
        std::memcpy(quad + whole * lanes * 4, last, 4);
      }
    }
    if (form.format == WeightFormat::nibbles) to_nibbles(to, lanes, quads, block);
    if (form.format == WeightFormat::pairs_s16) to_pairs(to, lanes, quads, block);
    block += format_bytes(form.format, lanes, quads);
  }
}

}  // namespace nibble
