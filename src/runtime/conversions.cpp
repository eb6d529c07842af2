#include "runtime/conversions.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "kernels/elementwise.h"

namespace nibble {
namespace {

class Quantize : public Kernel {
 public:
  explicit Quantize(const QuantParams& codes)
      : params_{codes.scale[0], codes.zero_point[0], codes.qmin, codes.qmax} {}
  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, DType::u8, in.shape());
    quantize_u8(params_, in.data<float>().data(), out.data<uint8_t>().data(), in.elements(),
                context.pool, isa_);
  }
  std::string describe() const override { return "f32 to u8"; }

 private:
  QuantizeParams params_;
  Isa isa_ = best_isa();
};

class QuantizeTranspose : public Kernel {
 public:
  QuantizeTranspose(const QuantParams& codes, const LayoutShape& layout, const Shape& shape)
      : params_{codes.scale[0], codes.zero_point[0], codes.qmin, codes.qmax},
        layout_(layout),
        shape_(shape) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, shape_);
    quantize_to_channels_last(params_, layout_, context.input(0).data<float>().data(),
                              out.data<uint8_t>().data(), context.pool, isa_);
  }
  std::string describe() const override { return "f32 to u8, transposed"; }

 private:
  QuantizeParams params_;
  LayoutShape layout_;
  Shape shape_;
  Isa isa_ = best_isa();
};

class Dequantize : public Kernel {
 public:
  explicit Dequantize(const QuantParams& codes)
      : scale_(codes.scale[0]), zero_point_(codes.zero_point[0]) {}
  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, DType::f32, in.shape());
    dequantize_u8(scale_, zero_point_, in.data<uint8_t>().data(), out.data<float>().data(),
                  in.elements(), context.pool, isa_);
  }
  std::string describe() const override { return "u8 to f32"; }

 private:
  float scale_;
  int32_t zero_point_;
  Isa isa_ = best_isa();
};

class Requantize : public Kernel {
 public:
  Requantize(const QuantParams& from, const QuantParams& to) {
    std::array<uint8_t, 256> every{};
    for (size_t code = 0; code < every.size(); ++code) every[code] = static_cast<uint8_t>(code);
    const Tensor codes = Tensor::of<uint8_t>({256}, every);
    const Tensor moved = quantize_tensor(dequantize_tensor(codes, from), to);
    std::ranges::copy(moved.data<uint8_t>(), table_.begin());
  }
  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, DType::u8, in.shape());
    table_u8(table_, in.data<uint8_t>().data(), out.data<uint8_t>().data(), in.elements(),
             context.pool, isa_);
  }
  bool in_place(size_t i) const override { return i == 0; }
  std::string describe() const override { return "u8 to u8 table"; }

 private:
  std::array<uint8_t, 256> table_{};
  Isa isa_ = best_isa();
};

// Any pair of storages, element by element, by the numeric contract.
class Convert : public Kernel {
 public:
  Convert(Form from, Form to) : from_(std::move(from)), to_(std::move(to)) {}

  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, to_.stored(DType::f32), in.shape());
    with_type(in.dtype(), [&](auto source) {
      with_type(out.dtype(), [&](auto target) {
        using From = decltype(source);
        using To = decltype(target);
        if constexpr (kConverts<From, To>) {
          const std::span<const From> x = in.data<From>();
          const std::span<To> y = out.data<To>();
          context.pool.parallel_ranges(in.elements(), 4096, [&](int64_t begin, int64_t end) {
            for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
              y[i] = code_of<To>(real_of(x[i]));
            }
          });
        }
      });
    });
  }
  std::string describe() const override { return to_string(from_) + " to " + to_string(to_); }

 private:
  template <typename T>
  static constexpr bool kIsCode = std::is_same_v<T, uint8_t> || std::is_same_v<T, int8_t> ||
                                  std::is_same_v<T, uint16_t> || std::is_same_v<T, int16_t>;

  template <typename From, typename To>
  static constexpr bool kConverts = (kIsCode<From> && (kIsCode<To> || std::is_same_v<To, float>)) ||
                                    (std::is_same_v<From, float> && kIsCode<To>);

  template <typename T>
  float real_of(T x) const {
    if constexpr (!kIsCode<T>) {
      return static_cast<float>(x);
    } else {
      return from_.grid->scale[0] * static_cast<float>(x - from_.grid->zero_point[0]);
    }
  }
  template <typename T>
  T code_of(float real) const {
    if constexpr (!kIsCode<T>) {
      return static_cast<T>(real);
    } else {
      const QuantParams& grid = *to_.grid;
      const float q = std::nearbyint(real / grid.scale[0]) + static_cast<float>(grid.zero_point[0]);
      const float above = q > static_cast<float>(grid.qmin) ? q : static_cast<float>(grid.qmin);
      return static_cast<T>(std::min(above, static_cast<float>(grid.qmax)));
    }
  }

  Form from_, to_;
};

// Rounds a run of values that share a scale. |q| stays under 2^22 for codes of 16 bits or less, so
// adding 1.5 * 2^23 rounds half to even.
void round_run(std::span<const float> in, std::span<float> out, float scale, float low,
               float high) {
  constexpr float kShift = 12582912.0F;
  for (size_t i = 0; i < in.size(); ++i) {
    const float q = in[i] / scale;
    const float above = q > low ? q : low;
    const float inside = above < high ? above : high;
    out[i] = scale * ((inside + kShift) - kShift);
  }
}

class Round : public Kernel {
 public:
  explicit Round(const QuantParams& params) : params_(params) {}

  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, DType::f32, in.shape());
    if (params_.granularity == Granularity::per_block || params_.bits() > 16) {
      context.set_output(0, dequantize_tensor(quantize_tensor(in, params_), params_));
      return;
    }
    const bool per_channel = params_.granularity == Granularity::per_channel;
    const int axis = params_.axis;
    const int64_t inner =
        per_channel ? in.shape().elements(axis + 1, in.shape().rank()) : in.elements();
    const int64_t runs = inner == 0 ? 0 : in.elements() / inner;
    const auto channels = static_cast<int64_t>(params_.scale.size());
    for (int64_t run = 0; run < runs; ++run) {
      const auto group = static_cast<size_t>(run % channels);
      const auto low = static_cast<float>(params_.qmin - params_.zero_point[group]);
      const auto high = static_cast<float>(params_.qmax - params_.zero_point[group]);
      context.pool.parallel_ranges(inner, 4096, [&](int64_t begin, int64_t end) {
        const auto from = static_cast<size_t>(run * inner + begin);
        const auto count = static_cast<size_t>(end - begin);
        round_run(in.data<float>().subspan(from, count), out.data<float>().subspan(from, count),
                  params_.scale[group], low, high);
      });
    }
  }
  bool in_place(size_t i) const override { return i == 0; }
  std::string describe() const override {
    return fmt::format("round to {}", name_of(params_.storage));
  }

 private:
  QuantParams params_;
};

}  // namespace

std::unique_ptr<Kernel> conversion_kernel(const Form& from, const Form& to) {
  const bool bytes = from.stored(DType::u8) == DType::u8 && to.stored(DType::u8) == DType::u8;
  if (!bytes) return std::make_unique<Convert>(from, to);
  if (!from.is_codes()) return std::make_unique<Quantize>(*to.grid);
  if (!to.is_codes()) return std::make_unique<Dequantize>(*from.grid);
  return std::make_unique<Requantize>(*from.grid, *to.grid);
}
std::unique_ptr<Kernel> quantize_transpose_kernel(const QuantParams& codes,
                                                  const LayoutShape& layout, const Shape& shape) {
  return std::make_unique<QuantizeTranspose>(codes, layout, shape);
}
std::unique_ptr<Kernel> round_kernel(const QuantParams& params) {
  return std::make_unique<Round>(params);
}

}  // namespace nibble
