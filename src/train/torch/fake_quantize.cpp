#include "train/torch/fake_quantize.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "kernels/fake_quantize.h"

namespace nibble {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Within [low, high]; NaN, which infinities of a mask times zero give, becomes low, as in
// inference.
torch::Tensor& clamp_codes_(torch::Tensor& codes, const torch::Tensor& low,
                            const torch::Tensor& high) {
  return torch::fmax_out(codes, codes, low).clamp_max_(high);
}

// For what the kernels do not do; a draw of its own.
torch::Tensor stays_real(const torch::Tensor& x, const Unrounded& unrounded) {
  auto generator = at::detail::createCPUGenerator(unrounded.seed);
  return torch::rand(x.sizes(), generator).lt(unrounded.share).to(x.device());
}

constexpr int64_t kPiece = 1 << 14;  // of a row, for one thread

// A tensor as rows that lie on one grid each.
struct GridRows {
  int64_t rows = 1, columns = 0;
  const float *scale = nullptr, *low = nullptr, *high = nullptr;
  bool one_range = true;  // low and high of all rows
  Unrounded unrounded;

  int64_t pieces() const { return (columns + kPiece - 1) / kPiece; }  // of a row
  FakeGrid grid(int64_t row) const {
    const int64_t range = one_range ? 0 : row;
    const double share = std::clamp(unrounded.share, 0.0, 1.0) * 0x1p32;
    return {.scale = scale[row],
            .low = low[range],
            .high = high[range],
            .seed = unrounded.seed,
            .unrounded = static_cast<uint32_t>(std::min(share, 0x1p32 - 1))};
  }
};

// How the kernels see it; nullopt where libtorch has to do it: on another device, or with scales
// that do not stand along the first axis. Rows that are much shorter than a vector gain nothing.
std::optional<GridRows> grid_rows(const torch::Tensor& x, const torch::Tensor& scale,
                                  const ClampRange& range, const Unrounded& unrounded) {
  constexpr int64_t kShortest = 32;
  for (const torch::Tensor& tensor : {x, scale, range.low, range.high}) {
    const bool plain = tensor.is_cpu() && tensor.scalar_type() == torch::kFloat;
    if (!plain || !tensor.is_contiguous()) return std::nullopt;
  }
  GridRows rows{.rows = scale.numel(),
                .scale = scale.data_ptr<float>(),
                .low = range.low.data_ptr<float>(),
                .high = range.high.data_ptr<float>(),
                .one_range = range.low.numel() == 1 && range.high.numel() == 1,
                .unrounded = unrounded};
  const bool along_first =
      scale.dim() == x.dim() && x.dim() > 0 && scale.size(0) == rows.rows && x.size(0) == rows.rows;
  if (rows.rows > 1 && !along_first) return std::nullopt;
  if (!rows.one_range && (range.low.numel() != rows.rows || range.high.numel() != rows.rows)) {
    return std::nullopt;
  }
  rows.columns = x.numel() / std::max<int64_t>(rows.rows, 1);
  if (rows.rows > 1 && rows.columns < kShortest) return std::nullopt;
  return rows;
}

// Calls visit(piece, row, first, count) for pieces of rows, on torch's threads; which pieces there
// are does not depend on how many threads that are.
template <typename Visit>
void for_each_piece(const GridRows& rows, const Visit& visit) {
  const int64_t pieces = rows.pieces();
  const int64_t grain = std::max<int64_t>(1, kPiece / std::max<int64_t>(rows.columns, 1));
  at::parallel_for(0, rows.rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / pieces, first = i % pieces * kPiece;
      visit(i, row, row * rows.columns + first, std::min(kPiece, rows.columns - first));
    }
  });
}

struct LearnedStep : torch::autograd::Function<LearnedStep> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& scale, const torch::Tensor& low,
                               const torch::Tensor& high, double gradient_scale,
                               const Unrounded& unrounded) {
    context->save_for_backward({x, scale, low, high});
    context->saved_data["gradient_scale"] = gradient_scale;
    context->saved_data["seed"] = static_cast<int64_t>(unrounded.seed);
    context->saved_data["share"] = unrounded.share;
    if (const auto rows = grid_rows(x, scale, {low, high}, unrounded)) {
      torch::Tensor out = torch::empty_like(x);
      const float* in = x.data_ptr<float>();
      float* to = out.data_ptr<float>();
      const FakeQuantizeKernels& kernels = fake_quantize_kernels();
      for_each_piece(*rows, [&](int64_t, int64_t row, int64_t first, int64_t count) {
        kernels.forward(rows->grid(row), in + first, static_cast<uint32_t>(first), to + first,
                        count);
      });
      return out;
    }
    torch::Tensor codes = torch::div(x, scale).round_();
    clamp_codes_(codes, low, high).mul_(scale);
    return unrounded.share > 0 ? torch::where(stays_real(x, unrounded), x, codes) : codes;
  }

  static tensor_list backward(AutogradContext* context, const tensor_list& upstream) {
    const auto saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &scale = saved[1], &low = saved[2], &high = saved[3];
    const Unrounded unrounded{static_cast<uint32_t>(context->saved_data["seed"].toInt()),
                              context->saved_data["share"].toDouble()};
    const double gradient_scale = context->saved_data["gradient_scale"].toDouble();
    const auto rows = grid_rows(x, scale, {low, high}, unrounded);
    const auto [of_x, of_scale] = rows ? fused(*rows, x, scale, upstream[0])
                                       : plain(x, scale, {low, high}, upstream[0], unrounded);
    return {of_x,
            of_scale * gradient_scale,
            torch::Tensor(),
            torch::Tensor(),
            torch::Tensor(),
            torch::Tensor()};
  }

 private:
  using Gradients = std::pair<torch::Tensor, torch::Tensor>;

  static Gradients fused(const GridRows& rows, const torch::Tensor& x, const torch::Tensor& scale,
                         const torch::Tensor& upstream) {
    const torch::Tensor contiguous = upstream.contiguous();
    torch::Tensor gradient = torch::empty_like(x);
    const float *in = x.data_ptr<float>(), *from = contiguous.data_ptr<float>();
    float* to = gradient.data_ptr<float>();
    const int64_t pieces = rows.pieces();
    std::vector<double> sums(static_cast<size_t>(rows.rows * pieces), 0);
    const FakeQuantizeKernels& kernels = fake_quantize_kernels();
    for_each_piece(rows, [&](int64_t piece, int64_t row, int64_t first, int64_t count) {
      sums[static_cast<size_t>(piece)] =
          kernels.backward(rows.grid(row), in + first, static_cast<uint32_t>(first), from + first,
                           to + first, count);
    });
    torch::Tensor of_scale = torch::empty_like(scale);
    for (int64_t row = 0; row < rows.rows; ++row) {
      const auto* first = sums.data() + row * pieces;
      of_scale.data_ptr<float>()[row] =
          static_cast<float>(std::accumulate(first, first + pieces, 0.0));
    }
    return {gradient, of_scale};
  }

  static Gradients plain(const torch::Tensor& x, const torch::Tensor& scale,
                         const ClampRange& range, const torch::Tensor& upstream,
                         const Unrounded& unrounded) {
    const torch::Tensor v = x / scale;
    torch::Tensor passes = (v > range.low).logical_and_(v < range.high);
    torch::Tensor outside = v.clone();
    torch::Tensor slope =
        torch::where(passes, v.round().sub_(v), clamp_codes_(outside, range.low, range.high));
    if (unrounded.share > 0) {
      const torch::Tensor real = stays_real(x, unrounded);
      slope.masked_fill_(real, 0);
      passes = passes.logical_or_(real);
    }
    return {upstream * passes, slope.mul_(upstream).sum_to_size(scale.sizes())};
  }
};

}  // namespace

torch::Tensor fake_quantize(const torch::Tensor& x, const torch::Tensor& scale,
                            const ClampRange& range, double gradient_scale,
                            const Unrounded& unrounded) {
  return LearnedStep::apply(x.contiguous(), scale, range.low, range.high, gradient_scale,
                            unrounded);
}

torch::Tensor partly_rounded(const torch::Tensor& real, const torch::Tensor& rounded,
                             const Unrounded& unrounded) {
  const bool plain = real.is_cpu() && real.scalar_type() == torch::kFloat &&
                     rounded.scalar_type() == torch::kFloat && real.sizes() == rounded.sizes();
  if (!plain) return torch::where(stays_real(real, unrounded), real, rounded);
  const torch::Tensor a = real.contiguous(), b = rounded.contiguous();
  torch::Tensor out = torch::empty_like(a);
  const float one = 1;
  const GridRows rows{
      .columns = a.numel(), .scale = &one, .low = &one, .high = &one, .unrounded = unrounded};
  const FakeQuantizeKernels& kernels = fake_quantize_kernels();
  for_each_piece(rows, [&](int64_t, int64_t row, int64_t first, int64_t count) {
    kernels.mix(rows.grid(row), a.data_ptr<float>() + first, b.data_ptr<float>() + first,
                static_cast<uint32_t>(first), out.data_ptr<float>() + first, count);
  });
  return out;
}

double lsq_gradient_scale(int64_t count, const QuantParams& params) {
  const double high = params.qmax - *std::ranges::min_element(params.zero_point);
  return 1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(count, 1)) * std::max(high, 1.0));
}

torch::Tensor round_to_grid(const torch::Tensor& x, const torch::Tensor& scale) {
  const torch::Tensor rounded = (x / scale).round() * scale;
  return x + (rounded - x).detach();
}

torch::Tensor spread_groups(const torch::Tensor& entries, const QuantParams& params,
                            const torch::IntArrayRef& shape) {
  if (params.granularity == Granularity::per_tensor) return entries;
  std::vector<int64_t> extents(shape.size(), 1);
  const auto axis = static_cast<size_t>(params.axis);
  if (params.granularity == Granularity::per_channel) {
    extents[axis] = shape[axis];
    return entries.reshape(extents);
  }
  extents = shape.vec();
  extents[axis] = (shape[axis] + params.block_size - 1) / params.block_size;
  return entries.reshape(extents)
      .repeat_interleave(params.block_size, params.axis)
      .narrow(params.axis, 0, shape[axis]);
}

ClampRange clamp_range(const QuantParams& params, const torch::IntArrayRef& shape,
                       torch::Device device) {
  std::vector<float> low, high;
  for (int32_t zero_point : params.zero_point) {
    low.push_back(static_cast<float>(params.qmin - zero_point));
    high.push_back(static_cast<float>(params.qmax - zero_point));
  }
  return {spread_groups(torch::tensor(low), params, shape).to(device),
          spread_groups(torch::tensor(high), params, shape).to(device)};
}

}  // namespace nibble
