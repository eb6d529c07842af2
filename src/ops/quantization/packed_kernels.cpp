#include "ops/quantization/packed_kernels.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/packed_float.h"
#include "ops/matmul/matmul.h"
#include "ops/quantization/integer_support.h"
#include "ops/roles.h"

namespace nibble {
namespace {

// Groups of fewer outputs would leave most lanes idle; their weights are few.
constexpr int64_t kNarrowestGroup = 8;
// Rows of data gathered at a time: they should stay in the second-level cache.
constexpr size_t kGatherBytes = 256 * 1024;

// A bias in real numbers, one per output; nullopt with the reason left in spec.
std::optional<std::vector<float>> real_bias(const KernelSpec& spec, int64_t outputs, float factor) {
  std::vector<float> bias(static_cast<size_t>(outputs), 0.0F);
  if (!spec.types.has(2) || factor == 0) return bias;
  const Tensor& data = *spec.types.constant(2);
  const QuantParams* grid = spec.grid(2);
  const Tensor reals = grid != nullptr ? dequantize_tensor(data, *grid) : data;
  const bool row = reals.shape().rank() > 0 && reals.shape()[reals.shape().rank() - 1] == outputs;
  if (reals.dtype() != DType::f32 ||
      (reals.elements() != 1 && !(row && reals.elements() == outputs))) {
    spec.refuse("the bias is not one number per output channel");
    return std::nullopt;
  }
  const std::span<const float> values = reals.data<float>();
  for (size_t n = 0; n < bias.size(); ++n) bias[n] = factor * values[values.size() == 1 ? 0 : n];
  return bias;
}

// Integers of at most 8 bits, read where they lie.
class Codes {
 public:
  explicit Codes(const Tensor& tensor)
      : bytes_(static_cast<const uint8_t*>(tensor.raw())),
        bits_(bits_of(tensor.dtype())),
        sign_(is_signed(tensor.dtype()) ? 1 << (bits_ - 1) : 0) {}
  int32_t operator[](int64_t i) const {
    const int64_t bit = i * bits_;
    const int32_t code = (bytes_[bit / 8] >> (bit % 8)) & ((1 << bits_) - 1);
    return (code ^ sign_) - sign_;  // sign extension
  }

 private:
  const uint8_t* bytes_;
  int bits_;
  int32_t sign_;
};

// Number k of what output n sums over is element `at(n, k)` (row-major) of the constant.
template <typename At>
std::unique_ptr<PackedFloat> pack(const KernelSpec& spec, const PackedShape& shape,
                                  std::span<const float> bias, const At& at) {
  const QuantParams& grid = *spec.grid(1);
  const Codes all(*spec.types.constant(1));
  std::vector<int32_t> zero;
  std::vector<float> scale;
  for (int64_t n = 0; n < shape.outputs; ++n) {
    for (int64_t first = 0; first < shape.depth(); first += shape.length) {
      for (int64_t i = 0; i < shape.length; i += shape.block) {
        const auto group =
            static_cast<size_t>(quant_group(grid, spec.types.shape(1), at(n, first + i)));
        scale.push_back(grid.scale[group]);
        zero.push_back(grid.zero_point[group]);
      }
    }
  }
  const auto codes = [&](int64_t n, std::span<int32_t> to) {
    for (int64_t k = 0; k < shape.depth(); ++k) to[static_cast<size_t>(k)] = all[at(n, k)];
  };
  const Clamp& clamp = spec.types.node.clamp;
  return std::make_unique<PackedFloat>(
      shape,
      PackedFloat::Weights{.codes = codes,
                           .bits = bits_of(grid.storage) <= 4 ? 4 : 8,
                           .is_signed = is_signed(grid.storage),
                           .scale = scale,
                           .zero_point = zero,
                           .bias = bias},
      clamp.low, clamp.high);
}

// Codes along the reduction that share a scale; nullopt if they do not lie like that.
std::optional<int64_t> block_of(const KernelSpec& spec, const WeightIndex& index, int64_t length) {
  const QuantParams& grid = *spec.grid(1);
  if (bits_of(grid.storage) > 8) {
    spec.refuse("its weights have more than 8 bits");
    return std::nullopt;
  }
  if (grid.granularity == Granularity::per_block) {
    if (grid.axis == index.axes().reduction) return grid.block_size;
  } else if (grid.granularity == Granularity::per_tensor || grid.axis == index.axes().output) {
    return length;
  }
  spec.refuse("its scales lie neither along the outputs nor along the sum");
  return std::nullopt;
}

// One product after another, each of rows of data by one of the weight's matrices.
class PackedGemm : public Kernel {
 public:
  PackedGemm(std::vector<std::unique_ptr<PackedFloat>> matrices, const MatmulProblem& problem)
      : matrices_(std::move(matrices)), problem_(problem) {}

  void run(EvalContext& context) const override {
    const float* data = context.input(0).data<float>().data();
    float* out = context.output(0, DType::f32, problem_.output).data<float>().data();
    const PackedShape& shape = matrices_[0]->shape();
    const int64_t rows = problem_.matrix.rows;
    for (const MatmulProblem::Offsets& at : problem_.batch) {
      const auto matrix = static_cast<size_t>(at.b / (shape.depth() * shape.outputs));
      matrices_[matrix]->run(data + at.a, shape.depth(), rows, out, shape.outputs,
                             context.workspace, context.pool);
      out += rows * shape.outputs;
    }
  }
  size_t workspace_bytes() const override {
    return matrices_[0]->scratch_bytes(problem_.matrix.rows);
  }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const auto& matrix : matrices_) bytes += matrix->constant_bytes();
    return bytes;
  }
  std::string describe() const override { return "gemm f32, " + matrices_[0]->describe(); }

 private:
  std::vector<std::unique_ptr<PackedFloat>> matrices_;
  MatmulProblem problem_;
};

std::unique_ptr<Kernel> make_gemm(const KernelSpec& spec, const MatmulProblem& problem,
                                  float bias_factor) {
  const Shape& weight = spec.types.shape(1);
  if (spec.types.input(0).dtype != DType::f32) return spec.refuse("its data are not f32");
  const WeightIndex index(spec.types.node, weight);
  const bool output_first = index.axes().output < index.axes().reduction;
  const int64_t length = weight[index.axes().reduction], outputs = index.outputs();
  if (weight.elements() == 0) return spec.refuse("its weight is empty");
  const auto block = block_of(spec, index, length);
  const auto bias = real_bias(spec, outputs, bias_factor);
  if (!block || !bias) return nullptr;
  std::vector<std::unique_ptr<PackedFloat>> matrices;
  for (int64_t first = 0; first < weight.elements(); first += length * outputs) {
    matrices.push_back(pack(spec, {outputs, 1, length, *block}, *bias, [&](int64_t n, int64_t k) {
      return first + (output_first ? n * length + k : k * outputs + n);
    }));
  }
  return std::make_unique<PackedGemm>(std::move(matrices), problem);
}

// Gathers the data of some output pixels, one row each, and multiplies.
class PackedConv : public Kernel {
 public:
  PackedConv(std::vector<std::unique_ptr<PackedFloat>> groups, const ConvWindow& window,
             int64_t length, int64_t channels, const Shape& out)
      : groups_(std::move(groups)),
        window_(window),
        length_(length),
        channels_(channels),
        out_shape_(out) {
    const auto row_bytes = sizeof(float) * static_cast<size_t>(groups_[0]->shape().depth());
    rows_ = std::min(std::max<int64_t>(static_cast<int64_t>(kGatherBytes / row_bytes), 16),
                     window.out_pixels());
  }

  void run(EvalContext& context) const override {
    const float* data = context.input(0).data<float>().data();
    float* out = context.output(0, DType::f32, out_shape_).data<float>().data();
    auto* gathered = static_cast<float*>(context.workspace);
    const int64_t outputs = out_shape_[out_shape_.rank() - 1], depth = groups_[0]->shape().depth();
    for (int64_t first = 0; first < window_.out_pixels(); first += rows_) {
      const int64_t rows = std::min(rows_, window_.out_pixels() - first);
      for (size_t g = 0; g < groups_.size(); ++g) {
        context.pool.parallel_ranges(rows, 8, [&](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row) {
            gather(data + static_cast<int64_t>(g) * length_, first + row, gathered + row * depth);
          }
        });
        groups_[g]->run(
            gathered, depth, rows,
            out + first * outputs + static_cast<int64_t>(g) * groups_[g]->shape().outputs, outputs,
            static_cast<std::byte*>(context.workspace) + gather_bytes(), context.pool);
      }
    }
  }
  size_t workspace_bytes() const override {
    return gather_bytes() + groups_[0]->scratch_bytes(rows_);
  }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const auto& group : groups_) bytes += group->constant_bytes();
    return bytes;
  }
  std::string describe() const override { return "conv f32, " + groups_[0]->describe(); }

 private:
  size_t gather_bytes() const {
    const auto bytes = sizeof(float) * static_cast<size_t>(rows_ * groups_[0]->shape().depth());
    return (bytes + 63) / 64 * 64;
  }
  // The taps of output pixel `pixel`; those in the padding are zeros.
  void gather(const float* data, int64_t pixel, float* row) const {
    const ConvWindow& w = window_;
    const int64_t x = pixel % w.out_w, y = pixel / w.out_w % w.out_h;
    const int64_t image = pixel / (w.out_w * w.out_h);
    for (int64_t tap = 0; tap < w.taps(); ++tap, row += length_) {
      const int64_t iy = y * w.stride_h - w.pad_top + tap / w.kernel_w * w.dilation_h;
      const int64_t ix = x * w.stride_w - w.pad_left + tap % w.kernel_w * w.dilation_w;
      const bool inside = iy >= 0 && iy < w.in_h && ix >= 0 && ix < w.in_w;
      if (inside) {
        std::copy_n(data + ((image * w.in_h + iy) * w.in_w + ix) * channels_, length_, row);
      } else {
        std::fill_n(row, length_, 0.0F);
      }
    }
  }

  std::vector<std::unique_ptr<PackedFloat>> groups_;
  ConvWindow window_;
  int64_t length_;    // channels of a group
  int64_t channels_;  // of all
  int64_t rows_;      // output pixels gathered at a time
  Shape out_shape_;
};

}  // namespace

std::unique_ptr<Kernel> packed_conv(const KernelSpec& spec) {
  const Shape& weight = spec.types.shape(1);
  if (spec.types.input(0).dtype != DType::f32) return spec.refuse("its data are not f32");
  if (weight.rank() < 3 || weight.elements() == 0) return spec.refuse("its weight is empty");
  const auto window = channels_last_window(spec, weight.dims().subspan(2));
  if (!window) return nullptr;
  const WeightIndex index(spec.types.node, weight);
  const int64_t length = weight[1], taps = window->taps(), groups = index.axes().groups;
  if (groups > 1 && index.outputs() / groups < kNarrowestGroup) {
    return spec.refuse("its groups give so few channels that most lanes would be idle");
  }
  const auto block = block_of(spec, index, length);
  const auto bias = real_bias(spec, index.outputs(), 1);
  if (!block || !bias || window->out_pixels() == 0) return nullptr;
  std::vector<std::unique_ptr<PackedFloat>> packed;
  const int64_t outputs = index.outputs() / groups;
  // Where an output has one scale, its taps are one run. Blocks have scales in each tap.
  const bool is_one = spec.grid(1)->granularity != Granularity::per_block;
  const PackedShape shape = is_one ? PackedShape{outputs, 1, taps * length, taps * length}
                                   : PackedShape{outputs, taps, length, *block};
  for (int64_t first = 0; first < index.outputs(); first += outputs) {
    packed.push_back(
        pack(spec, shape,
             std::span(*bias).subspan(static_cast<size_t>(first), static_cast<size_t>(outputs)),
             [&](int64_t n, int64_t k) {
               return ((first + n) * length + k % length) * taps + k / length;
             }));
  }
  const Shape& in = spec.types.shape(0);
  return std::make_unique<PackedConv>(std::move(packed), *window, length, in[in.rank() - 1],
                                      spec.outputs[0].shape);
}

std::unique_ptr<Kernel> packed_gemm(const KernelSpec& spec) {
  const Attributes& attributes = spec.types.node.attributes;
  if (attributes.integer("transA", 0) != 0) return spec.refuse("its input is transposed");
  if (attributes.real("alpha", 1) != 1) return spec.refuse("it scales its product");
  const NodeTypes& types = spec.types;
  return make_gemm(spec, gemm_problem(types.node, types.shape(0), types.shape(1), nullptr),
                   attributes.real("beta", 1));
}

std::unique_ptr<Kernel> packed_matmul(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.shape(1).rank() < 2) return spec.refuse("its weight is not a matrix");
  return make_gemm(spec, matmul_problem(types.node, types.shape(0), types.shape(1)), 0);
}

}  // namespace nibble
