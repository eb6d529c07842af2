#include "kernels/qconv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/depthwise.h"
#include "kernels/isa_table.h"
#include "kernels/packed_product.h"
#include "kernels/product_saturating.h"
#include "kernels/reference.h"
#include "kernels/run_time_grid.h"

namespace nibble {
namespace {

void validate_shape(const ConvShape& shape, size_t weights, size_t bias, int32_t zero_point) {
  const ConvWindow& w = shape.window;
  const bool positive = w.batch > 0 && w.in_h > 0 && w.in_w > 0 && w.kernel_h > 0 &&
                        w.kernel_w > 0 && w.stride_h > 0 && w.stride_w > 0 && w.dilation_h > 0 &&
                        w.dilation_w > 0 && w.out_h > 0 && w.out_w > 0 && shape.in_channels > 0 &&
                        shape.out_channels > 0 && shape.groups > 0;
  if (!positive || w.pad_top < 0 || w.pad_left < 0)
    fail(ErrorCode::invalid_argument,
         "extents, strides and dilations of a convolution must be positive, padding not negative");
  if (shape.in_channels % shape.groups != 0 || shape.out_channels % shape.groups != 0)
    fail(ErrorCode::invalid_argument, "{} input and {} output channels do not split into {} groups",
         shape.in_channels, shape.out_channels, shape.groups);
  if (static_cast<int64_t>(weights) != shape.out_channels * shape.depth())
    fail(ErrorCode::invalid_argument, "the convolution has {} weights, expected {}", weights,
         shape.out_channels * shape.depth());
  if (bias != 0 && static_cast<int64_t>(bias) != shape.out_channels)
    fail(ErrorCode::invalid_argument, "the convolution has {} biases, expected {}", bias,
         shape.out_channels);
  if (zero_point < 0 || zero_point > 255)
    fail(ErrorCode::invalid_argument, "the input zero point {} does not fit u8", zero_point);
}

// [O, I, H, W] as [O, H, W, I], the order in which a channels-last input is met.
WeightView channels_last(const ConvShape& shape, std::span<const int8_t> weights) {
  const int64_t taps = shape.window.taps();
  return {.data = weights.data(),
          .output_step = shape.depth(),
          .outer = taps,
          .outer_step = 1,
          .inner = shape.group_inputs(),
          .inner_step = taps};
}

// The input as the kernels see it: every tap of every output pixel lies inside. Where that is not
// so already, the input is copied into the workspace with a frame of zero points.
struct Frame {
  int64_t h = 0;
  int64_t w = 0;
  int64_t image_bytes = 0;
  bool copy = false;

  explicit Frame(const ConvShape& shape, int64_t segment_bytes) {
    const ConvWindow& win = shape.window;
    const auto reach = [](int64_t out, int64_t stride, int64_t kernel, int64_t dilation) {
      return (out - 1) * stride + (kernel - 1) * dilation + 1;
    };
    h = std::max(win.pad_top + win.in_h,
                 reach(win.out_h, win.stride_h, win.kernel_h, win.dilation_h));
    w = std::max(win.pad_left + win.in_w,
                 reach(win.out_w, win.stride_w, win.kernel_w, win.dilation_w));
    image_bytes = h * w * shape.in_channels;
    // The kernels read up to three bytes beyond a segment that is no multiple of four.
    copy = h != win.in_h || w != win.in_w || segment_bytes % 4 != 0;
  }
  static constexpr int64_t kSlack = 64;
};

ProductShape product_shape(const ConvShape& shape, int64_t frame_w) {
  const ConvWindow& w = shape.window;
  // Taps side by side are one run of bytes.
  const bool merged = shape.groups == 1 && w.dilation_w == 1;
  ProductShape product{.segment_bytes = shape.group_inputs() * (merged ? w.kernel_w : 1),
                       .groups = shape.groups,
                       .group_inputs = shape.group_inputs(),
                       .group_outputs = shape.group_outputs()};
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < (merged ? 1 : w.kernel_w); ++kx)
      product.segments.push_back((ky * w.dilation_h * frame_w + kx * w.dilation_w) *
                                 shape.in_channels);
  }
  return product;
}

// Kernels for one input and one output channel per group, or nullptr.
const DepthwiseKernels* depthwise_of(const ConvShape& shape, Isa isa) {
  const bool fits = shape.groups > 1 && shape.group_inputs() == 1 && shape.group_outputs() == 1;
  const IsaRow& row = isa_row(isa);
  return fits && row.depthwise != nullptr ? &row.depthwise() : nullptr;
}

}  // namespace

struct QConv::Impl {
  ConvShape shape;
  OutputStage stage;
  Isa isa;
  int32_t input_zero_point;
  Frame frame;
  std::vector<int8_t> weights;  // for plain loops only; those that saturate: channels last
  std::vector<int32_t> bias;
  std::optional<PackedProduct> product;
  std::optional<PackedDepthwise> depthwise;

  Impl(const ConvShape& conv, OutputStage output, Isa wanted, int32_t zero_point)
      : shape(conv),
        stage(std::move(output)),
        isa(wanted),
        input_zero_point(zero_point),
        frame(conv, depthwise_of(conv, wanted) ? 0 : product_shape(conv, 0).segment_bytes) {}

  bool saturating = false;

  bool is_plain() const { return !depthwise && !product; }
  void run_plain(int32_t zero_point, const OutputStage& output_stage, const uint8_t* input,
                 void* output, ThreadPool& pool) const {
    if (saturating) {
      return run_saturating({shape, weights, bias, zero_point}, output_stage, input, output, pool);
    }
    run_reference({shape, weights, bias, zero_point}, output_stage, input, output, pool);
  }
  void copy_framed(const uint8_t* input, int32_t zero_point, uint8_t* framed,
                   ThreadPool& pool) const;
  size_t frame_bytes() const {
    if (!frame.copy) return 0;
    return (static_cast<size_t>(shape.window.batch * frame.image_bytes + Frame::kSlack) + 63) / 64 *
           64;
  }
  size_t slots() const { return depthwise ? depthwise->bias().size() : product->bias().size(); }
  PixelLines lines(const uint8_t* framed) const;
};

void QConv::Impl::copy_framed(const uint8_t* input, int32_t zero_point, uint8_t* framed,
                              ThreadPool& pool) const {
  const ConvWindow& w = shape.window;
  const int64_t channels = shape.in_channels;
  const auto zero = static_cast<uint8_t>(zero_point);
  const int64_t row_bytes = frame.w * channels;
  const int64_t left = w.pad_left * channels;
  // A frame smaller than the input: the far end of the input is not used.
  const int64_t used = std::min(w.in_w * channels, row_bytes - left);
  const int64_t grain = std::max<int64_t>(1, 65536 / std::max<int64_t>(row_bytes, 1));
  pool.parallel_ranges(w.batch * frame.h, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      uint8_t* to = framed + row * row_bytes;
      const int64_t y = row % frame.h - w.pad_top;
      if (y < 0 || y >= w.in_h) {
        std::memset(to, zero, static_cast<size_t>(row_bytes));
        continue;
      }
      const uint8_t* from = input + (row / frame.h * w.in_h + y) * w.in_w * channels;
      std::memset(to, zero, static_cast<size_t>(left));
      std::memcpy(to + left, from, static_cast<size_t>(used));
      std::memset(to + left + used, zero, static_cast<size_t>(row_bytes - left - used));
    }
  });
  std::memset(framed + w.batch * frame.image_bytes, zero, Frame::kSlack);
}

PixelLines QConv::Impl::lines(const uint8_t* framed) const {
  const ConvWindow& w = shape.window;
  const int64_t channels = shape.in_channels;
  PixelLines result{.input = framed,
                    .images = w.batch,
                    .image_step = frame.image_bytes,
                    .lines = w.out_h,
                    .line_step = w.stride_h * frame.w * channels,
                    .pixels = w.out_w,
                    .pixel_step = w.stride_w * channels};
  const auto merge = [](int64_t& pixels, int64_t& lines, int64_t pixel_step, int64_t line_step) {
    if (lines == 1 || line_step != pixels * pixel_step) return;
    pixels *= lines;
    lines = 1;
  };
  // Pixels at one distance all through are one long line: 1x1 convolutions, and whole images.
  if (w.out_w == 1) result.pixel_step = w.out_h == 1 ? result.image_step : result.line_step;
  merge(result.pixels, result.lines, result.pixel_step, result.line_step);
  if (result.lines == 1) merge(result.pixels, result.images, result.pixel_step, result.image_step);
  return result;
}

QConv::QConv(const ConvShape& shape, std::span<const int8_t> weights, std::span<const int32_t> bias,
             int32_t input_zero_point, OutputStage stage, Isa isa, bool saturating,
             int32_t greatest_code) {
  validate_shape(shape, weights.size(), bias.size(), input_zero_point);
  validate(stage, shape.out_channels);
  auto impl = std::make_unique<Impl>(shape, std::move(stage), isa, input_zero_point);
  std::vector<int32_t> biases(bias.begin(), bias.end());
  biases.resize(static_cast<size_t>(shape.out_channels), 0);
  const WeightView view = channels_last(shape, weights);
  const DepthwiseKernels* depthwise = depthwise_of(shape, isa);
  impl->saturating = saturating && (shape.group_inputs() > 1 || shape.group_outputs() > 1);
  if (!impl->saturating && isa_row(isa).micro != nullptr && depthwise == nullptr) {
    ProductShape product = product_shape(shape, impl->frame.w);
    product.greatest_code = std::max(greatest_code, input_zero_point);  // padding
    impl->product.emplace(std::move(product), view, biases, input_zero_point, impl->stage, isa);
    impl_ = std::move(impl);
    return;
  }
  prove_int32(weights, biases, shape.depth());
  if (depthwise != nullptr) {
    const bool adjacent = impl->lines(nullptr).pixel_step == shape.in_channels;
    impl->depthwise.emplace(*depthwise,
                            PackedDepthwise::Shape{product_shape(shape, impl->frame.w).segments,
                                                   shape.out_channels, adjacent},
                            weights, biases, input_zero_point, impl->stage);
  } else {
    impl->weights.assign(weights.begin(), weights.end());
    if (impl->saturating) view.copy(0, shape.out_channels, impl->weights.data());
    impl->bias = std::move(biases);
  }
  impl_ = std::move(impl);
}

QConv::QConv(QConv&&) noexcept = default;
QConv& QConv::operator=(QConv&&) noexcept = default;
QConv::~QConv() = default;

void QConv::run(const uint8_t* input, void* output, void* workspace, ThreadPool& pool) const {
  if (impl_->is_plain()) {
    return impl_->run_plain(impl_->input_zero_point, impl_->stage, input, output, pool);
  }
  if (impl_->frame.copy) {
    auto* framed = static_cast<uint8_t*>(workspace);
    impl_->copy_framed(input, impl_->input_zero_point, framed, pool);
    input = framed;
  }
  if (impl_->depthwise) return impl_->depthwise->run(impl_->lines(input), output, pool);
  impl_->product->run(impl_->lines(input), output, pool);
}

void QConv::run(const uint8_t* input, const RunTimeGrid& grid, void* output, void* workspace,
                ThreadPool& pool) const {
  if (impl_->is_plain()) {
    return impl_->run_plain(grid.zero_point, rescaled(grid, impl_->stage), input, output, pool);
  }
  auto* memory = static_cast<std::byte*>(workspace);
  if (impl_->frame.copy) {
    auto* framed = reinterpret_cast<uint8_t*>(memory);
    impl_->copy_framed(input, grid.zero_point, framed, pool);
    input = framed;
    memory += impl_->frame_bytes();
  }
  auto* bias = reinterpret_cast<int32_t*>(memory);
  auto* multiplier = reinterpret_cast<float*>(memory + rescaled_bytes(impl_->slots()) / 2);
  if (const auto& depthwise = impl_->depthwise) {
    rescale(grid, depthwise->bias(), depthwise->multiplier(), bias, multiplier);
    return depthwise->run(impl_->lines(input), bias, multiplier, output, pool);
  }
  const PackedProduct& product = *impl_->product;
  rescale(grid, product.bias(), product.multiplier(), bias, multiplier);
  product.run(impl_->lines(input), {product.operand().weights, bias, multiplier}, output, pool);
}

size_t QConv::workspace_bytes() const {
  if (impl_->is_plain()) return 0;
  return impl_->frame_bytes() + rescaled_bytes(impl_->slots());
}

size_t QConv::constant_bytes() const {
  if (impl_->depthwise) return impl_->depthwise->constant_bytes();
  if (impl_->product) return impl_->product->constant_bytes();
  return impl_->weights.size() + 4 * (impl_->bias.size() + impl_->stage.multiplier.size());
}

const ConvShape& QConv::shape() const { return impl_->shape; }

std::string QConv::describe() const {
  const ConvWindow& w = impl_->shape.window;
  const std::string weights = impl_->product ? impl_->product->describe_weights() : "s8";
  return fmt::format("{} u8{} {}x{} {}", impl_->depthwise ? "depthwise" : "conv", weights,
                     w.kernel_h, w.kernel_w,
                     impl_->saturating ? "saturating" : name_of(impl_->isa));
}

}  // namespace nibble
