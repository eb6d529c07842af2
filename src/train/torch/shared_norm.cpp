#include "train/torch/shared_norm.h"

#include <ATen/Parallel.h>

#include <array>
#include <span>
#include <vector>

namespace nibble {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// A tensor as [samples, channels, inner].
struct Planes {
  int64_t samples = 0, channels = 0, inner = 0;

  explicit Planes(const torch::Tensor& z)
      : samples(z.size(0)), channels(z.size(1)), inner(z.numel() / (z.size(0) * z.size(1))) {}
  int64_t of_channel() const { return samples * inner; }
};

// Sums over two rows in double, in lanes that a compiler can keep in a register.
template <typename Add>
void sum_rows(const float* a, const float* b, int64_t count, double& first, double& second,
              const Add& add) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> x{}, y{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t k = 0; k < kLanes; ++k) {
      add(static_cast<double>(a[i + k]), static_cast<double>(b[i + k]), x[static_cast<size_t>(k)],
          y[static_cast<size_t>(k)]);
    }
  }
  for (; i < count; ++i) add(static_cast<double>(a[i]), static_cast<double>(b[i]), x[0], y[0]);
  for (size_t k = 0; k < kLanes; ++k) {
    first += x[k];
    second += y[k];
  }
}

// Calls visit(channel) for each, on libtorch's threads.
template <typename Visit>
void for_channels(const Planes& planes, const Visit& visit) {
  at::parallel_for(0, planes.channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) visit(c);
  });
}

// Two sums for each channel, over the ranks: [2 * channels] and behind them `more`.
template <typename Add>
torch::Tensor channel_sums(const torch::Tensor& a, const torch::Tensor& b, double more,
                           RankGroup& ranks, torch::Tensor* of_this_rank, const Add& add) {
  const Planes planes(a);
  torch::Tensor sums = torch::zeros({2 * planes.channels + 1}, torch::kDouble);
  auto* to = sums.data_ptr<double>();
  to[2 * planes.channels] = more;
  const float *x = a.data_ptr<float>(), *y = b.data_ptr<float>();
  for_channels(planes, [&](int64_t c) {
    for (int64_t n = 0; n < planes.samples; ++n) {
      const int64_t at = (n * planes.channels + c) * planes.inner;
      sum_rows(
          x + at, y + at, planes.inner, to[2 * c], to[2 * c + 1],
          [&](double p, double q, double& first, double& second) { add(c, p, q, first, second); });
    }
  });
  if (of_this_rank != nullptr) *of_this_rank = sums.clone();
  ranks.sum(sums, SumLane::statistics);
  return sums;
}

// On the CPU, in f32: as training has it. Other devices pass through it.
torch::Tensor on_cpu(const torch::Tensor& tensor) { return tensor.cpu().contiguous(); }

struct SharedNorm : torch::autograd::Function<SharedNorm> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& given,
                               const torch::Tensor& gain, const torch::Tensor& shift,
                               const torch::Tensor& running_mean,
                               const torch::Tensor& running_variance, double new_share,
                               double epsilon, int64_t ranks_at) {
    auto& ranks = *reinterpret_cast<RankGroup*>(ranks_at);
    const torch::Tensor z = on_cpu(given);
    const Planes planes(z);
    const torch::Tensor sums =
        channel_sums(z, z, static_cast<double>(planes.of_channel()), ranks, nullptr,
                     [](int64_t, double x, double, double& sum, double& squares) {
                       sum += x;
                       squares += x * x;
                     });
    const double count = sums[2 * planes.channels].item<double>();
    const torch::Tensor by_channel = sums.narrow(0, 0, 2 * planes.channels).view({-1, 2}) / count;
    const torch::Tensor mean = by_channel.select(1, 0).contiguous();
    const torch::Tensor variance =
        (by_channel.select(1, 1) - mean.square()).clamp_min(0).contiguous();
    const torch::Tensor inverse = (variance + epsilon).rsqrt();
    const auto move = [&](torch::Tensor running, const torch::Tensor& now) {
      running.mul_(1 - new_share).add_(now.to(running.options()), new_share);
    };
    move(running_mean, mean);
    move(running_variance, variance * (count / std::max(count - 1, 1.0)));

    const torch::Tensor factors = (inverse * on_cpu(gain).to(torch::kDouble)).to(torch::kFloat);
    const torch::Tensor centre = mean.to(torch::kFloat), base = on_cpu(shift);
    torch::Tensor y = torch::empty_like(z);
    for_channels(planes, [&, in = z.data_ptr<float>(), out = y.data_ptr<float>(),
                          m = centre.data_ptr<float>(), f = factors.data_ptr<float>(),
                          b = base.data_ptr<float>()](int64_t c) {
      for (int64_t n = 0; n < planes.samples; ++n) {
        const int64_t at = (n * planes.channels + c) * planes.inner;
        const float mc = m[c], fc = f[c], bc = b[c];
        for (int64_t i = 0; i < planes.inner; ++i) out[at + i] = (in[at + i] - mc) * fc + bc;
      }
    });
    context->save_for_backward({z, gain, mean, inverse});
    context->saved_data["count"] = count;
    context->saved_data["ranks"] = ranks_at;
    return y.to(given.device());
  }

  // With x = (z - mean) / sqrt(variance + epsilon): dz = gain / sqrt(...) * (dy - mean(dy) - x *
  // mean(dy * x)), the means over the samples of all ranks.
  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &z = saved[0], &gain = saved[1], &mean = saved[2], &inverse = saved[3];
    auto& ranks = *reinterpret_cast<RankGroup*>(context->saved_data["ranks"].toInt());
    const double count = context->saved_data["count"].toDouble();
    const torch::Tensor dy = on_cpu(upstream[0]);
    const Planes planes(z);
    const auto *m = mean.data_ptr<double>(), *s = inverse.data_ptr<double>();
    torch::Tensor mine;
    const torch::Tensor sums = channel_sums(
        dy, z, 0, ranks, &mine, [&](int64_t c, double d, double x, double& sum, double& products) {
          sum += d;
          products += d * (x - m[c]);
        });
    const torch::Tensor own = mine.narrow(0, 0, 2 * planes.channels).view({-1, 2});
    const torch::Tensor of_gain = (own.select(1, 1) * inverse).to(gain.options());
    const torch::Tensor of_shift = own.select(1, 0).to(gain.options());

    const torch::Tensor gains = on_cpu(gain);
    torch::Tensor dz = torch::empty_like(z);
    for_channels(planes, [&, in = z.data_ptr<float>(), from = dy.data_ptr<float>(),
                          out = dz.data_ptr<float>(), g = gains.data_ptr<float>(),
                          sum = sums.data_ptr<double>()](int64_t c) {
      const double factor = s[c] * static_cast<double>(g[c]);
      const double slope = s[c] * s[c] * sum[2 * c + 1] / count;
      const auto f = static_cast<float>(factor);
      const auto centre = static_cast<float>(m[c]);
      const auto k = static_cast<float>(factor * slope);
      const auto base = static_cast<float>(factor * sum[2 * c] / count);
      for (int64_t n = 0; n < planes.samples; ++n) {
        const int64_t at = (n * planes.channels + c) * planes.inner;
        for (int64_t i = 0; i < planes.inner; ++i) {
          out[at + i] = f * from[at + i] - base - k * (in[at + i] - centre);
        }
      }
    });
    const torch::Tensor none;
    return {dz.to(upstream[0].device()), of_gain, of_shift, none, none, none, none, none};
  }
};

}  // namespace

torch::Tensor shared_batch_norm(const torch::Tensor& z, const torch::Tensor& gain,
                                const torch::Tensor& shift, const torch::Tensor& mean,
                                const torch::Tensor& variance, double new_share, double epsilon,
                                RankGroup& ranks) {
  return SharedNorm::apply(z, gain, shift, mean, variance, new_share, epsilon,
                           reinterpret_cast<int64_t>(&ranks));
}

}  // namespace nibble
