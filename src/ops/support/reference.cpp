#include "ops/support/reference.h"

namespace nibble {
namespace {

using Index = std::array<int64_t, Window::kMaxRank>;

// The next position in row-major order; false after the last.
bool advance(Index& index, const Window::Extents& extents, int rank) {
  for (int axis = rank - 1; axis >= 0; --axis) {
    const auto a = static_cast<size_t>(axis);
    if (++index[a] < extents[a]) return true;
    index[a] = 0;
  }
  return false;
}

// Row-major index of the input pixel under kernel tap `tap` of the window at `at`; -1: padding.
int64_t pixel_under(const Window& w, const Index& at, const Index& tap) {
  int64_t pixel = 0;
  for (size_t i = 0; i < static_cast<size_t>(w.rank); ++i) {
    const int64_t x = at[i] * w.stride[i] - w.pad_begin[i] + tap[i] * w.dilation[i];
    if (x < 0 || x >= w.input[i]) return -1;
    pixel = pixel * w.input[i] + x;
  }
  return pixel;
}

int64_t count(const Window::Extents& extents, int rank) {
  int64_t product = 1;
  for (int i = 0; i < rank; ++i) product *= extents[static_cast<size_t>(i)];
  return product;
}

}  // namespace

template <typename T>
void reference_conv(const ConvProblem& problem, std::span<const T> data, std::span<const T> weight,
                    std::span<const T> bias, std::span<T> out) {
  const Window& w = problem.window;
  const int64_t pixels = count(w.input, w.rank);
  const int64_t positions = count(w.output, w.rank);
  const int64_t taps = count(w.kernel, w.rank);
  const int64_t inner = problem.in_channels / problem.group;
  const int64_t per_group = problem.out_channels / problem.group;
  if (problem.batch * positions * problem.out_channels == 0) return;
  const auto at = [&](int64_t n, int64_t c, int64_t pixel, int64_t channels, int64_t plane) {
    return static_cast<size_t>(problem.channels_last ? (n * plane + pixel) * channels + c
                                                     : (n * channels + c) * plane + pixel);
  };
  for (int64_t n = 0; n < problem.batch; ++n) {
    for (int64_t o = 0; o < problem.out_channels; ++o) {
      Index position{};
      for (int64_t p = 0; p < positions; ++p, advance(position, w.output, w.rank)) {
        double sum = bias.empty() ? 0 : static_cast<double>(bias[static_cast<size_t>(o)]);
        Index tap{};
        for (int64_t t = 0; t < taps; ++t, advance(tap, w.kernel, w.rank)) {
          const int64_t pixel = pixel_under(w, position, tap);
          if (pixel < 0) continue;
          for (int64_t i = 0; i < inner; ++i) {
            const int64_t channel = o / per_group * inner + i;
            sum += static_cast<double>(data[at(n, channel, pixel, problem.in_channels, pixels)]) *
                   static_cast<double>(weight[static_cast<size_t>((o * inner + i) * taps + t)]);
          }
        }
        T value = static_cast<T>(sum);
        if (problem.clamp.any()) {
          value = static_cast<T>(problem.clamp(static_cast<float>(value)));
        }
        out[at(n, o, p, problem.out_channels, positions)] = value;
      }
    }
  }
}

template void reference_conv(const ConvProblem&, std::span<const float>, std::span<const float>,
                             std::span<const float>, std::span<float>);
template void reference_conv(const ConvProblem&, std::span<const double>, std::span<const double>,
                             std::span<const double>, std::span<double>);

}  // namespace nibble
