// The micro kernels multiply u8 by s8, so the right-hand side is stored less 128:
//
//   sum (a - za)(b - zb) = sum a (b - 128) + (128 - zb) sum a - za (sum b - depth zb)
//
// The second term is one number per row, the third one per column.
#include "kernels/qproduct.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "kernels/isa_table.h"
#include "kernels/pack_codes.h"
#include "kernels/packed_product.h"

namespace nibble {
namespace {

constexpr int64_t kSlack = 64;
// Multiply-accumulates that are worth a task of their own.
constexpr int64_t kTaskMacs = 1 << 18;

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

struct QProduct::Impl {
  Shape shape;
  OutputStage stage;
  Isa isa;
  std::vector<float> multiplier;  // one per slot of the product
  std::optional<PackedProduct> product;

  // The kernels read up to three bytes beyond the last row.
  bool copies() const { return shape.depth % 4 != 0; }
  size_t a_bytes() const {
    return copies() ? aligned(static_cast<size_t>(shape.a_elements + kSlack)) : 0;
  }
  size_t weight_bytes() const { return aligned(product->weight_bytes()); }
  size_t bias_bytes() const { return aligned(static_cast<size_t>(product->slots()) * 4); }
  size_t row_bytes() const { return aligned(static_cast<size_t>(shape.rows) * 4); }
  size_t pair_bytes() const { return weight_bytes() + bias_bytes() + row_bytes(); }

  void pack(const uint8_t* b, std::byte* weights, int32_t* bias) const;
  void sum_rows(const uint8_t* a, int32_t* sums) const;
  void run_reference(const uint8_t* a, const uint8_t* b, void* output, ThreadPool& pool) const;
};

void QProduct::Impl::pack(const uint8_t* b, std::byte* weights, int32_t* bias) const {
  std::fill_n(bias, product->slots(),
              static_cast<int32_t>(shape.depth) * shape.a_zero_point * shape.b_zero_point);
  for (int64_t k = 0; k < shape.depth; ++k) {
    for (int64_t n = 0; n < shape.columns; ++n) {
      bias[n] -= shape.a_zero_point * b[k * shape.columns + n];
    }
  }
  pack_rows({shape.depth, shape.columns, shape.columns, product->block_bytes()}, b,
            product->micro(), weights);
}

void QProduct::Impl::sum_rows(const uint8_t* a, int32_t* sums) const {
  for (int64_t m = 0; m < shape.rows; ++m) {
    const uint8_t* row = a + m * shape.depth;
    sums[m] = (128 - shape.b_zero_point) * std::accumulate(row, row + shape.depth, 0);
  }
}

// The plain loops that define the product.
void QProduct::Impl::run_reference(const uint8_t* a, const uint8_t* b, void* output,
                                   ThreadPool& pool) const {
  const auto pairs = static_cast<int64_t>(shape.pairs.size());
  pool.parallel_ranges(pairs * shape.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const Pair& pair = shape.pairs[static_cast<size_t>(row / shape.rows)];
      const uint8_t* left = a + pair.a + row % shape.rows * shape.depth;
      for (int64_t n = 0; n < shape.columns; ++n) {
        int32_t sum = 0;
        for (int64_t k = 0; k < shape.depth; ++k) {
          sum += (left[k] - shape.a_zero_point) *
                 (b[pair.b + k * shape.columns + n] - shape.b_zero_point);
        }
        const int64_t at = row * shape.columns + n;
        if (stage.kind == OutputStage::Kind::codes_u8) {
          static_cast<uint8_t*>(output)[at] = to_code(stage, sum, 0);
        } else {
          static_cast<float*>(output)[at] = to_real(stage, sum, 0);
        }
      }
    }
  });
}

QProduct::QProduct(Shape shape, OutputStage stage, Isa isa) {
  if (shape.rows <= 0 || shape.depth <= 0 || shape.columns <= 0) {
    fail(ErrorCode::invalid_argument, "a product of {} x {} by {} x {} is empty", shape.rows,
         shape.depth, shape.depth, shape.columns);
  }
  if (shape.depth > kMaxDepth) {
    fail(ErrorCode::unsupported,
         "{} products of 8 bits may sum up to more than a 32-bit integer "
         "holds",
         shape.depth);
  }
  const auto fits = [](int32_t zero) { return zero >= 0 && zero <= 255; };
  if (!fits(shape.a_zero_point) || !fits(shape.b_zero_point)) {
    fail(ErrorCode::invalid_argument, "the zero points {} and {} do not fit u8", shape.a_zero_point,
         shape.b_zero_point);
  }
  validate(stage, 1);
  auto impl = std::make_unique<Impl>();
  impl->shape = std::move(shape);
  impl->stage = std::move(stage);
  impl->isa = isa;
  if (isa_row(isa).micro != nullptr) {
    impl->product.emplace(ProductShape{.segments = {0},
                                       .segment_bytes = impl->shape.depth,
                                       .groups = 1,
                                       .group_inputs = impl->shape.depth,
                                       .group_outputs = impl->shape.columns},
                          impl->stage, isa);
    impl->multiplier.assign(static_cast<size_t>(impl->product->slots()), impl->stage.multiplier[0]);
  }
  impl_ = std::move(impl);
}

QProduct::QProduct(QProduct&&) noexcept = default;
QProduct& QProduct::operator=(QProduct&&) noexcept = default;
QProduct::~QProduct() = default;

void QProduct::run(const uint8_t* a, const uint8_t* b, void* output, void* workspace,
                   ThreadPool& pool) const {
  if (!impl_->product) return impl_->run_reference(a, b, output, pool);
  const Shape& shape = impl_->shape;
  auto* memory = static_cast<std::byte*>(workspace);
  if (impl_->copies()) {
    std::memcpy(memory, a, static_cast<size_t>(shape.a_elements));
    std::memset(memory + shape.a_elements, 0, kSlack);
    a = reinterpret_cast<const uint8_t*>(memory);
    memory += impl_->a_bytes();
  }
  const auto pairs = static_cast<int64_t>(shape.pairs.size());
  const auto weights_of = [&](int64_t i) {
    return memory + static_cast<size_t>(i) * impl_->pair_bytes();
  };
  const auto bias_of = [&](int64_t i) {
    return reinterpret_cast<int32_t*>(weights_of(i) + impl_->weight_bytes());
  };
  const auto rows_of = [&](int64_t i) {
    return reinterpret_cast<int32_t*>(weights_of(i) + impl_->weight_bytes() + impl_->bias_bytes());
  };
  const bool row_sums = shape.b_zero_point != 128;
  pool.parallel_for(pairs, [&](int64_t i) {
    const Pair& pair = shape.pairs[static_cast<size_t>(i)];
    impl_->pack(b + pair.b, weights_of(i), bias_of(i));
    if (row_sums) impl_->sum_rows(a + pair.a, rows_of(i));
  });
  const int64_t macs = shape.rows * shape.depth * shape.columns;
  const int64_t parts = std::clamp<int64_t>(macs / kTaskMacs, 1, shape.rows);
  const int64_t row_bytes = shape.columns * impl_->stage.element_bytes();
  pool.parallel_for(pairs * parts, [&](int64_t task) {
    const int64_t i = task / parts;
    const int64_t first = shape.rows * (task % parts) / parts;
    const int64_t last = shape.rows * (task % parts + 1) / parts;
    const ProductOperand operand{weights_of(i), bias_of(i), impl_->multiplier.data(),
                                 row_sums ? rows_of(i) + first : nullptr};
    impl_->product->run(
        {.input = a + shape.pairs[static_cast<size_t>(i)].a + first * shape.depth,
         .pixels = last - first,
         .pixel_step = shape.depth},
        operand, static_cast<std::byte*>(output) + (i * shape.rows + first) * row_bytes, pool);
  });
}

size_t QProduct::workspace_bytes() const {
  if (!impl_->product) return 0;
  return impl_->a_bytes() + impl_->shape.pairs.size() * impl_->pair_bytes();
}

std::string QProduct::describe() const {
  return fmt::format("product u8u8 {}", name_of(impl_->isa));
}

}  // namespace nibble
