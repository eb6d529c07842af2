#include "kernels/qgemm.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/isa_table.h"
#include "kernels/packed_product.h"
#include "kernels/product_saturating.h"
#include "kernels/reference.h"
#include "kernels/run_time_grid.h"

namespace nibble {
namespace {

constexpr int64_t kSlack = 64;

}  // namespace

struct QGemm::Impl {
  Shape shape;
  OutputStage stage;
  Isa isa;
  int32_t input_zero_point;
  std::vector<int8_t> weights;  // [n, k]; for the reference only, as bias
  std::vector<int32_t> bias;
  std::optional<PackedProduct> product;

  // The kernels read up to three bytes beyond the last row.
  bool copies() const { return product.has_value() && shape.k % 4 != 0; }
  size_t copy_bytes(int64_t rows) const {
    return copies() ? (static_cast<size_t>(rows * shape.k + kSlack) + 63) / 64 * 64 : 0;
  }

  bool saturating = false;

  /// The product as a 1x1 convolution over `rows` pixels.
  void run_plain(int64_t rows, int32_t zero_point, const OutputStage& output_stage,
                 const uint8_t* a, void* output, ThreadPool& pool) const {
    const ConvShape conv = {
        .window = {.in_w = rows, .out_w = rows}, .in_channels = shape.k, .out_channels = shape.n};
    if (saturating) {
      return run_saturating({conv, weights, bias, zero_point}, output_stage, a, output, pool);
    }
    run_reference({conv, weights, bias, zero_point}, output_stage, a, output, pool);
  }
};

QGemm::QGemm(const Shape& shape, std::span<const int8_t> weights, std::span<const int32_t> bias,
             int32_t input_zero_point, OutputStage stage, Isa isa, bool saturating,
             int32_t greatest_code) {
  if (shape.k <= 0 || shape.n <= 0 || static_cast<int64_t>(weights.size()) != shape.k * shape.n)
    fail(ErrorCode::invalid_argument, "the product has {} weights, expected {} x {}",
         weights.size(), shape.k, shape.n);
  if (!bias.empty() && static_cast<int64_t>(bias.size()) != shape.n)
    fail(ErrorCode::invalid_argument, "the product has {} biases, expected {}", bias.size(),
         shape.n);
  if (input_zero_point < 0 || input_zero_point > 255)
    fail(ErrorCode::invalid_argument, "the input zero point {} does not fit u8", input_zero_point);
  validate(stage, shape.n);
  auto impl = std::make_unique<Impl>();
  impl->shape = shape;
  impl->stage = std::move(stage);
  impl->isa = isa;
  impl->input_zero_point = input_zero_point;
  impl->saturating = saturating;
  std::vector<int32_t> biases(bias.begin(), bias.end());
  biases.resize(static_cast<size_t>(shape.n), 0);
  const bool kn = shape.layout == Layout::kn;
  const WeightView view{.data = weights.data(),
                        .output_step = kn ? 1 : shape.k,
                        .inner = shape.k,
                        .inner_step = kn ? shape.n : 1};
  if (!saturating && isa_row(isa).micro != nullptr) {
    ProductShape product{.segments = {0},
                         .segment_bytes = shape.k,
                         .groups = 1,
                         .group_inputs = shape.k,
                         .group_outputs = shape.n,
                         .greatest_code = greatest_code};
    impl->product.emplace(std::move(product), view, biases, input_zero_point, impl->stage, isa);
  } else {
    impl->weights.resize(weights.size());
    view.copy(0, shape.n, impl->weights.data());
    prove_int32(impl->weights, biases, shape.k);
    impl->bias = std::move(biases);
  }
  impl_ = std::move(impl);
}

QGemm::QGemm(QGemm&&) noexcept = default;
QGemm& QGemm::operator=(QGemm&&) noexcept = default;
QGemm::~QGemm() = default;

void QGemm::run(const uint8_t* a, int64_t rows, void* output, void* workspace,
                ThreadPool& pool) const {
  const int64_t k = impl_->shape.k;
  if (rows <= 0) return;
  if (!impl_->product) {
    return impl_->run_plain(rows, impl_->input_zero_point, impl_->stage, a, output, pool);
  }
  if (impl_->copies()) {
    auto* copy = static_cast<uint8_t*>(workspace);
    std::memcpy(copy, a, static_cast<size_t>(rows * k));
    std::memset(copy + rows * k, 0, kSlack);
    a = copy;
  }
  impl_->product->run({.input = a, .pixels = rows, .pixel_step = k}, output, pool);
}

void QGemm::run(const uint8_t* a, const RunTimeGrid& grid, int64_t rows, void* output,
                void* workspace, ThreadPool& pool) const {
  const int64_t k = impl_->shape.k;
  if (rows <= 0) return;
  if (!impl_->product) {
    return impl_->run_plain(rows, grid.zero_point, rescaled(grid, impl_->stage), a, output, pool);
  }
  auto* memory = static_cast<std::byte*>(workspace);
  if (impl_->copies()) {
    std::memcpy(memory, a, static_cast<size_t>(rows * k));
    std::memset(memory + rows * k, 0, kSlack);
    a = reinterpret_cast<const uint8_t*>(memory);
    memory += impl_->copy_bytes(rows);
  }
  const PackedProduct& product = *impl_->product;
  auto* bias = reinterpret_cast<int32_t*>(memory);
  auto* multiplier = reinterpret_cast<float*>(memory + rescaled_bytes(product.bias().size()) / 2);
  rescale(grid, product.bias(), product.multiplier(), bias, multiplier);
  product.run({.input = a, .pixels = rows, .pixel_step = k},
              {product.operand().weights, bias, multiplier}, output, pool);
}

size_t QGemm::workspace_bytes(int64_t rows) const {
  if (!impl_->product) return 0;
  return impl_->copy_bytes(rows) + rescaled_bytes(impl_->product->bias().size());
}

size_t QGemm::constant_bytes() const {
  if (impl_->product) return impl_->product->constant_bytes();
  return impl_->weights.size() + 4 * (impl_->bias.size() + impl_->stage.multiplier.size());
}

std::string QGemm::describe() const {
  const std::string weights = impl_->product ? impl_->product->describe_weights() : "s8";
  return fmt::format("gemm u8{} {}", weights,
                     impl_->saturating ? "saturating" : name_of(impl_->isa));
}

}  // namespace nibble
