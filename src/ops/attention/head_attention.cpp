#include "ops/attention/head_attention.h"

#include <array>
#include <cmath>

#include "base/check.h"
#include "kernels/vector_math.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

enum Input : size_t { kQ, kK, kV, kMask };

std::vector<int64_t> list_of(const HeadRows& rows) {
  return {rows.first, rows.batch, rows.head, rows.row};
}
HeadRows rows_of(const Node& node, std::string_view name) {
  const std::vector<int64_t> list = node.attributes.integers(name);
  check(list.size() == 4, "HeadAttention: rows are four numbers");
  return {list[0], list[1], list[2], list[3]};
}

}  // namespace

void write_attributes(const HeadAttention& attention, Node& node) {
  const AttentionShape& s = attention.shape;
  Attributes& to = node.attributes;
  to.set("extents",
         std::vector<int64_t>{s.batch, s.heads, s.queries, s.keys, s.size, s.value_size});
  to.set("q_rows", list_of(s.q));
  to.set("k_rows", list_of(s.k));
  to.set("v_rows", list_of(s.v));
  to.set("out_rows", list_of(s.out));
  to.set("scale", attention.scale);
  to.set("p_scale", attention.p.scale[0]);
  to.set("p_codes",
         std::vector<int64_t>{attention.p.zero_point[0], attention.p.qmin, attention.p.qmax});
}

HeadAttention read_attributes(const Node& node) {
  const std::vector<int64_t> extents = node.attributes.integers("extents");
  const std::vector<int64_t> codes = node.attributes.integers("p_codes");
  check(extents.size() == 6 && codes.size() == 3, "HeadAttention: attributes are missing");
  HeadAttention result{.shape = {.batch = extents[0],
                                 .heads = extents[1],
                                 .queries = extents[2],
                                 .keys = extents[3],
                                 .size = extents[4],
                                 .value_size = extents[5],
                                 .q = rows_of(node, "q_rows"),
                                 .k = rows_of(node, "k_rows"),
                                 .v = rows_of(node, "v_rows"),
                                 .out = rows_of(node, "out_rows"),
                                 .mask = {}},
                       .scale = node.attributes.real("scale", 1),
                       .p = {}};
  result.p.storage = DType::u8;
  result.p.scale = {node.attributes.real("p_scale", 1)};
  result.p.zero_point = {static_cast<int32_t>(codes[0])};
  result.p.qmin = static_cast<int32_t>(codes[1]);
  result.p.qmax = static_cast<int32_t>(codes[2]);
  return result;
}

std::optional<HeadRows> mask_rows(const AttentionShape& shape, const Shape& mask) {
  const std::array<int64_t, 3> extent = {shape.batch, shape.heads, shape.queries};
  const int rank = mask.rank();
  if (rank < 1 || rank > 4 || mask[rank - 1] != shape.keys) return std::nullopt;
  std::array<int64_t, 3> steps{};
  int64_t step = shape.keys;
  for (int axis = rank - 2; axis >= 0; --axis) {
    const auto i = static_cast<size_t>(axis + 4 - rank);
    if (mask[axis] != 1 && mask[axis] != extent[i]) return std::nullopt;
    steps[i] = mask[axis] == 1 ? 0 : step;
    step *= mask[axis];
  }
  return HeadRows{0, steps[0], steps[1], steps[2]};
}

namespace {

class HeadAttentionKernel : public Kernel {
 public:
  HeadAttentionKernel(QAttention attention, const TensorType& output)
      : attention_(std::move(attention)), dtype_(output.dtype), shape_(output.shape) {}

  void run(EvalContext& context) const override {
    const auto codes = [&](size_t i) { return context.input(i).data<uint8_t>().data(); };
    const float* mask = context.has(kMask) ? context.input(kMask).data<float>().data() : nullptr;
    attention_.run(codes(kQ), codes(kK), codes(kV), mask, context.output(0, dtype_, shape_).raw(),
                   context.workspace, context.pool);
  }
  size_t workspace_bytes() const override { return attention_.workspace_bytes(); }
  DType multiplies() const override { return DType::i8; }
  std::string describe() const override { return attention_.describe(); }

 private:
  QAttention attention_;
  DType dtype_;
  Shape shape_;
};

std::unique_ptr<Kernel> attention_on_codes(const KernelSpec& spec) {
  HeadAttention a = read_attributes(spec.types.node);
  if (spec.types.has(kMask)) {
    const auto rows = mask_rows(a.shape, spec.types.shape(kMask));
    if (!rows || spec.types.input(kMask).dtype != DType::f32)
      return spec.refuse("its mask does not fit");
    a.shape.mask = *rows;
  }
  const QuantParams &q = *spec.grid(kQ), &k = *spec.grid(kK), &v = *spec.grid(kV);
  const auto p_scale = static_cast<double>(a.p.scale[0]);
  const double unit = p_scale * static_cast<double>(v.scale[0]);
  const double scale = static_cast<double>(q.scale[0]) * static_cast<double>(k.scale[0]) *
                       static_cast<double>(a.scale);
  return std::make_unique<HeadAttentionKernel>(
      QAttention(a.shape, {.q_zero = q.zero_point[0],
                           .k_zero = k.zero_point[0],
                           .v_zero = v.zero_point[0],
                           .score_scale = static_cast<float>(scale),
                           .p_scale = p_scale,
                           .p_zero = a.p.zero_point[0],
                           .p_qmin = a.p.qmin,
                           .p_qmax = a.p.qmax,
                           .stage = output_stage(spec, std::span(&unit, 1))}),
      spec.outputs[0]);
}

// In reals, with the probabilities on their grid.
void eval_head_attention(EvalContext& context) {
  HeadAttention a = read_attributes(context.node);
  AttentionShape& s = a.shape;
  const float *q = context.input(kQ).data<float>().data(),
              *k = context.input(kK).data<float>().data(),
              *v = context.input(kV).data<float>().data(), *mask = nullptr;
  if (context.has(kMask)) {
    const auto rows = mask_rows(s, context.input(kMask).shape());
    if (!rows)
      fail(ErrorCode::invalid_model, "mask {} does not fit",
           context.input(kMask).shape().to_string());
    s.mask = *rows;
    mask = context.input(kMask).data<float>().data();
  }
  Tensor& out = context.output(0, DType::f32, Shape(context.node.attributes.integers("shape")));
  float* to = out.data<float>().data();
  context.pool.parallel_for(s.batch * s.heads, [&](int64_t pair) {
    const int64_t b = pair / s.heads, h = pair % s.heads;
    Tensor p(DType::f32, {s.keys});
    const std::span<float> weights = p.data<float>();
    for (int64_t i = 0; i < s.queries; ++i) {
      float top = -INFINITY;
      for (int64_t j = 0; j < s.keys; ++j) {
        double score = 0;
        for (int64_t c = 0; c < s.size; ++c) {
          score += static_cast<double>(q[s.q.at(b, h, i) + c] * k[s.k.at(b, h, j) + c]);
        }
        float& x = weights[static_cast<size_t>(j)];
        x = static_cast<float>(score) * a.scale +
            (mask == nullptr ? 0.0F : mask[s.mask.at(b, h, i) + j]);
        top = std::max(top, x);
      }
      double sum = 0;
      for (float& x : weights) sum += static_cast<double>(x = exp_f32(x - top));
      for (float& x : weights) x = static_cast<float>(static_cast<double>(x) / sum);
      const Tensor rounded = dequantize_tensor(quantize_tensor(p, a.p), a.p);
      for (int64_t c = 0; c < s.value_size; ++c) {
        double result = 0;
        for (int64_t j = 0; j < s.keys; ++j) {
          result += static_cast<double>(rounded.data<float>()[static_cast<size_t>(j)] *
                                        v[s.v.at(b, h, j) + c]);
        }
        to[s.out.at(b, h, i) + c] = static_cast<float>(result);
      }
    }
  });
}

std::vector<TensorType> infer_head_attention(const NodeTypes& types) {
  return one_output(DType::f32, Shape(types.node.attributes.integers("shape")));
}

constexpr std::array kKernels = {KernelRow{.name = "attention on u8 codes",
                                           .reads = {Reads::u8, Reads::u8, Reads::u8, Reads::real},
                                           .gives = Gives::u8_or_real,
                                           .make = attention_on_codes}};

constexpr std::array kRows = {
    OpRow{.name = "HeadAttention",
          .domain = "nibble",
          .min_inputs = 3,
          .max_inputs = 4,
          .infer = infer_head_attention,
          .eval = eval_head_attention,
          .kernels = kKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::none,
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> head_attention_ops() { return kRows; }

}  // namespace nibble
