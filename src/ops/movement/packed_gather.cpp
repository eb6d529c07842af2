// Gather on a quantized table: the entries asked for become real, the table stays in codes.
#include <algorithm>

#include "base/check.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/indices.h"

namespace nibble {
namespace {

// Calls body(code_at), code_at(i) being the code of element i.
template <typename Body>
void with_codes(const Tensor& codes, const Body& body) {
  const DType dtype = codes.dtype();
  if (bits_of(dtype) >= 8) {
    return with_type(dtype, [&](auto zero) {
      using Q = decltype(zero);
      if constexpr (std::is_integral_v<Q> && sizeof(Q) <= 2 && !std::is_same_v<Q, bool>) {
        const Q* data = codes.data<Q>().data();
        body([data](int64_t i) { return static_cast<int32_t>(data[i]); });
      }
    });
  }
  const auto* bytes = static_cast<const uint8_t*>(codes.raw());
  const int bits = bits_of(dtype);
  const int per_byte = 8 / bits;
  const int32_t half = is_signed(dtype) ? 1 << (bits - 1) : 0;
  body([=](int64_t i) {
    const int32_t code = (bytes[i / per_byte] >> (i % per_byte * bits)) & ((1 << bits) - 1);
    return (code ^ half) - half;  // extends the sign
  });
}

class PackedGather : public Kernel {
 public:
  PackedGather(Tensor table, QuantParams grid, int axis, const Shape& out)
      : table_(std::move(table)), grid_(std::move(grid)), axis_(axis), out_shape_(out) {}

  void run(EvalContext& context) const override {
    float* out = context.output(0, DType::f32, out_shape_).data<float>().data();
    const Tensor& indices = context.input(1);
    with_codes(table_, [&](const auto& code_at) {
      if (indices.dtype() == DType::i32) {
        gather(indices.data<int32_t>(), out, context.pool, code_at);
      } else {
        gather(indices.data<int64_t>(), out, context.pool, code_at);
      }
    });
  }
  size_t constant_bytes() const override {
    return table_.bytes() + 4 * (grid_.scale.size() + grid_.zero_point.size());
  }
  std::string describe() const override {
    return fmt::format("rows of a table of {}", name_of(table_.dtype()));
  }

 private:
  template <typename Index, typename CodeAt>
  void gather(std::span<const Index> indices, float* out, ThreadPool& pool,
              const CodeAt& code_at) const {
    const Shape& shape = table_.shape();
    const int64_t extent = shape[axis_], inner = shape.elements(axis_ + 1, shape.rank());
    const auto count = static_cast<int64_t>(indices.size());
    const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, inner));
    pool.parallel_ranges(shape.elements(0, axis_) * count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t entry = begin; entry < end; ++entry) {
        const int64_t at =
            normalize_index(int64_t{indices[static_cast<size_t>(entry % count)]}, extent);
        dequantize((entry / count * extent + at) * inner, inner, out + entry * inner, code_at);
      }
    });
  }

  // Elements [first, first + count) of the table, in runs that share a scale.
  template <typename CodeAt>
  void dequantize(int64_t first, int64_t count, float* out, const CodeAt& code_at) const {
    const Shape& shape = table_.shape();
    const bool blocks = grid_.granularity == Granularity::per_block;
    const int64_t behind = shape.elements(grid_.axis + 1, shape.rank());
    const bool whole =
        grid_.granularity == Granularity::per_tensor || (!blocks && grid_.axis <= axis_);
    for (int64_t done = 0; done < count;) {
      const int64_t at = first + done;
      int64_t run = whole ? count : blocks ? 1 : behind - at % behind;
      if (blocks && behind == 1) {
        const int64_t column = at % shape[grid_.axis];
        run = std::min(grid_.block_size - column % grid_.block_size, shape[grid_.axis] - column);
      }
      run = std::min(run, count - done);
      const auto group = static_cast<size_t>(quant_group(grid_, shape, at));
      const float scale = grid_.scale[group];
      const int32_t zero = grid_.zero_point[group];
      for (int64_t i = 0; i < run; ++i) {
        out[done + i] = static_cast<float>(code_at(at + i) - zero) * scale;
      }
      done += run;
    }
  }

  Tensor table_;
  QuantParams grid_;
  int axis_;
  Shape out_shape_;
};

}  // namespace

std::unique_ptr<Kernel> packed_gather(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const DType indices = types.input(1).dtype;
  if (indices != DType::i32 && indices != DType::i64)
    return spec.refuse("its indices are no i32 or i64");
  const QuantParams& grid = *spec.grid(0);
  if (bits_of(grid.storage) > 16) return spec.refuse("its table has more than 16 bits");
  const int axis = normalize_axis(types.node.attributes.integer("axis", 0), types.shape(0).rank());
  return std::make_unique<PackedGather>(*types.constant(0), grid, axis, spec.outputs[0].shape);
}

}  // namespace nibble
