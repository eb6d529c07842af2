// Layers that quantize their data when they run: what compile() makes of DynamicQuantizeLinear,
// ConvInteger or MatMulInteger, and the arithmetic behind them (passes/fuse_dynamic.cpp). Inputs:
// the data in f32, the weight's codes, their scales (one, or one per output channel), a bias per
// output channel and the codes' zero points, the last two optional.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/qconv.h"
#include "kernels/qgemm.h"
#include "ops/convolution/conv.h"
#include "ops/families.h"
#include "ops/matmul/matmul.h"
#include "ops/movement/transpose.h"
#include "ops/quantization/dynamic_grid.h"
#include "ops/quantization/integer_support.h"
#include "ops/support/infer.h"
#include "ops/support/weight_axes.h"

namespace nibble {
namespace {

constexpr size_t kScale = 2, kBias = 3, kZeroPoint = 4;

// One number per output channel; `tensor` has one or as many.
std::vector<float> per_channel(const Tensor& tensor, int64_t channels) {
  const std::span<const float> values = tensor.data<float>();
  if (values.size() == 1) return std::vector<float>(static_cast<size_t>(channels), values[0]);
  check(static_cast<int64_t>(values.size()) == channels, "one number per output channel");
  return {values.begin(), values.end()};
}

// ---- Evaluation, by the operators that the node stands for

Tensor run_one(const Node& node, const EvalContext& context, std::vector<Tensor> inputs,
               std::vector<Tensor>& outputs) {
  EvalContext inner(node, context.opset, inputs, outputs, context.pool);
  require_op(node, context.opset).eval.function(inner);
  return outputs[0];
}

void eval_layer(EvalContext& context, const char* op, bool conv) {
  const bool last = conv && context.node.channels_last;
  const Tensor data =
      last ? with_channels(context.input(0), false, context.pool) : context.input(0);
  std::vector<Tensor> quantized(3), sums(1);
  run_one({.op = "DynamicQuantizeLinear", .outputs = {{0}, {1}, {2}}}, context, {data}, quantized);
  Node product{.op = op, .outputs = {{0}}};
  product.attributes = context.node.attributes;
  std::vector<Tensor> operands = {quantized[0], context.input(1), quantized[2]};
  if (context.has(kZeroPoint)) operands.push_back(context.input(kZeroPoint));
  run_one(product, context, operands, sums);
  const Shape& shape = sums[0].shape();
  const int64_t channels = conv ? shape[1] : shape[shape.rank() - 1];
  const int64_t inner = conv ? shape.elements(2, shape.rank()) : 1;
  const float scale = quantized[1].data<float>()[0];
  const std::vector<float> scales = per_channel(context.input(kScale), channels);
  const std::vector<float> bias =
      context.has(kBias) ? per_channel(context.input(kBias), channels) : std::vector<float>();
  Tensor result(DType::f32, shape);
  const std::span<const int32_t> in = sums[0].data<int32_t>();
  const std::span<float> out = result.data<float>();
  for (size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<size_t>(static_cast<int64_t>(i) / inner % channels);
    out[i] = static_cast<float>(in[i]) * (scale * scales[c]);
    if (!bias.empty()) out[i] = out[i] + bias[c];
    out[i] = context.node.clamp(out[i]);
  }
  context.set_output(0, last ? with_channels(result, true, context.pool) : result);
}

void eval_conv(EvalContext& context) { eval_layer(context, "ConvInteger", true); }
void eval_matmul(EvalContext& context) { eval_layer(context, "MatMulInteger", false); }

// ---- Kernels

// The weight less its zero point, where `axis` is that of the channels; see centred_weights().
std::optional<IntegerWeights> centred(const KernelSpec& spec, int axis) {
  const NodeTypes& types = spec.types;
  std::vector<int32_t> zero = {0};
  if (types.has(kZeroPoint)) zero = unpack_integers(*types.constant(kZeroPoint));
  return centred_weights(spec, *types.constant(1), zero, axis);
}

struct ConvProduct {
  QConv conv;
  void run(const uint8_t* data, const RunTimeGrid& grid, void* out, void* workspace,
           ThreadPool& pool) const {
    conv.run(data, grid, out, workspace, pool);
  }
  size_t workspace_bytes() const { return conv.workspace_bytes(); }
  size_t constant_bytes() const { return conv.constant_bytes(); }
  std::string describe() const { return conv.describe(); }
};

struct GemmProduct {
  QGemm gemm;
  int64_t rows;
  void run(const uint8_t* data, const RunTimeGrid& grid, void* out, void* workspace,
           ThreadPool& pool) const {
    gemm.run(data, grid, rows, out, workspace, pool);
  }
  size_t workspace_bytes() const { return gemm.workspace_bytes(rows); }
  size_t constant_bytes() const { return gemm.constant_bytes(); }
  std::string describe() const { return gemm.describe(); }
};

template <typename Product>
class DynamicLayer : public Kernel {
 public:
  DynamicLayer(Product product, std::vector<float> bias, const Clamp& clamp, int64_t elements,
               const Shape& out)
      : product_(std::move(product)),
        bias_(std::move(bias)),
        clamp_(clamp),
        code_bytes_((static_cast<size_t>(elements) + 127) / 64 * 64),
        out_shape_(out) {}

  void run(EvalContext& context) const override {
    const std::span<const float> data = context.input(0).data<float>();
    auto* memory = static_cast<std::byte*>(context.workspace);
    auto* codes = reinterpret_cast<uint8_t*>(memory);
    const RunTimeGrid grid = dynamic_grid(data, context.pool);
    quantize_u8({.scale = grid.scale, .zero_point = grid.zero_point}, data.data(), codes,
                static_cast<int64_t>(data.size()), context.pool);
    const std::span<float> out = context.output(0, DType::f32, out_shape_).data<float>();
    product_.run(codes, grid, out.data(), memory + code_bytes_, context.pool);
    if (!bias_.empty()) add_bias(out, context.pool);
  }
  size_t workspace_bytes() const override { return code_bytes_ + product_.workspace_bytes(); }
  size_t constant_bytes() const override { return product_.constant_bytes() + 4 * bias_.size(); }
  DType multiplies() const override { return DType::i8; }
  std::string describe() const override { return "dynamic " + product_.describe(); }

 private:
  void add_bias(std::span<float> out, ThreadPool& pool) const {
    const auto channels = static_cast<int64_t>(bias_.size());
    const int64_t pixels = static_cast<int64_t>(out.size()) / channels;
    const int64_t grain = std::max<int64_t>(1, 16384 / channels);
    const float low = clamp_.low, high = clamp_.high;
    pool.parallel_ranges(pixels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t pixel = begin; pixel < end; ++pixel) {
        float* row = out.data() + pixel * channels;
        const float* bias = bias_.data();
        for (int64_t c = 0; c < channels; ++c) {
          const float sum = row[c] + bias[c];
          const float above = sum < low ? low : sum;
          row[c] = above > high ? high : above;
        }
      }
    });
  }

  Product product_;
  std::vector<float> bias_;
  Clamp clamp_;
  size_t code_bytes_;
  Shape out_shape_;
};

// The stage of the product, which clamps only if no bias comes behind it.
OutputStage stage_of(const KernelSpec& spec, int64_t channels) {
  OutputStage stage{.kind = OutputStage::Kind::reals_f32,
                    .multiplier = per_channel(*spec.types.constant(kScale), channels)};
  if (!spec.types.has(kBias)) {
    stage.min = spec.types.node.clamp.low;
    stage.max = spec.types.node.clamp.high;
  }
  return stage;
}

bool is_ready(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.input(0).dtype != DType::f32) return false;
  for (const size_t i : {size_t{1}, kScale, kBias, kZeroPoint}) {
    if (types.has(i) && types.constant(i) == nullptr) return false;
  }
  return true;
}

std::vector<float> bias_of(const KernelSpec& spec, int64_t channels) {
  return spec.types.has(kBias) ? per_channel(*spec.types.constant(kBias), channels)
                               : std::vector<float>();
}

template <typename Make>
std::unique_ptr<Kernel> unless_too_large(const KernelSpec& spec, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {  // the sums may not fit int32
    if (error.code() != ErrorCode::unsupported) throw;
    return spec.refuse(error.message());
  }
}

std::unique_ptr<Kernel> make_conv(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (!is_ready(spec)) return spec.refuse("its operands are not constant");
  const Shape& weight = types.shape(1);
  const auto window = channels_last_window(spec, weight.dims().subspan(2));
  if (!window) return nullptr;
  const auto codes = centred(spec, 0);
  if (!codes || codes->values.empty() || types.shape(0).elements() == 0 ||
      spec.outputs[0].shape.elements() == 0) {
    return nullptr;
  }
  const ConvShape shape{.window = *window,
                        .in_channels = types.shape(0)[types.shape(0).rank() - 1],
                        .out_channels = weight[0],
                        .groups = types.node.attributes.integer("group", 1)};
  return unless_too_large(spec, [&] {
    return std::make_unique<DynamicLayer<ConvProduct>>(
        ConvProduct{QConv(shape, codes->values, {}, 1, stage_of(spec, weight[0]))},
        bias_of(spec, weight[0]), types.node.clamp, types.shape(0).elements(),
        spec.outputs[0].shape);
  });
}

std::unique_ptr<Kernel> make_matmul(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (!is_ready(spec)) return spec.refuse("its operands are not constant");
  const Shape& weight = types.shape(1);
  if (weight.rank() != 2) return spec.refuse("its right operand is not a matrix");
  const auto codes = centred(spec, 1);
  if (!codes || codes->values.empty() || types.shape(0).elements() == 0) return nullptr;
  return unless_too_large(spec, [&] {
    return std::make_unique<DynamicLayer<GemmProduct>>(
        GemmProduct{QGemm({.k = weight[0], .n = weight[1]}, codes->values, {}, 1,
                          stage_of(spec, weight[1]), best_isa(), spec.saturating16),
                    types.shape(0).elements() / weight[0]},
        bias_of(spec, weight[1]), types.node.clamp, types.shape(0).elements(),
        spec.outputs[0].shape);
  });
}

// ---- Rows

std::vector<TensorType> infer_conv(const NodeTypes& types) {
  Shape shape = types.shape(0);
  if (shape.has_rank() && types.shape(1).has_rank()) {
    shape = conv_problem(types.node, shape, types.shape(1), false).output_shape();
  }
  return one_output(DType::f32, shape);
}
std::vector<TensorType> infer_matmul(const NodeTypes& types) {
  return one_output(DType::f32, matmul_shape(types.shape(0), types.shape(1)));
}

constexpr std::array kConvKernels = {on_reals("dynamic conv", make_conv)};
constexpr std::array kMatmulKernels = {on_reals("dynamic matmul", make_matmul)};

constexpr OpRow row(std::string_view name, const WeightRole& weights, InferSignature* infer,
                    EvalSignature* eval, const KernelList& kernels) {
  return {.name = name,
          .domain = "nibble",
          .min_inputs = 3,
          .max_inputs = 5,
          .infer = infer,
          .eval = eval,
          .kernels = kernels,
          .why_float = "made by compile() alone",
          .quant = QuantRole::opaque_codes,
          .weights = weights,
          .takes_clamp = true,
          .gradient = Gradient::none,
          .tolerance = 1e-6};
}

constexpr OpRow conv_row() {
  OpRow result =
      row("DynamicConv", {.axes = convolution_axes}, infer_conv, eval_conv, kConvKernels);
  result.layout = LayoutRole::spatial;
  return result;
}

constexpr std::array kRows = {
    conv_row(),
    row("DynamicMatMul", {.axes = matmul_axes, .matrix = true}, infer_matmul, eval_matmul,
        kMatmulKernels),
};

}  // namespace

std::span<const OpRow> dynamic_layer_ops() { return kRows; }

}  // namespace nibble
