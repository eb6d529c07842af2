// Any function of one 8-bit input is a table of 256 entries, filled by the operator's own f32
// evaluation.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "kernels/elementwise.h"
#include "ops/quantization/integer_kernels.h"

namespace nibble {
namespace {

class CodeTable : public Kernel {
 public:
  CodeTable(const Tensor& codes, size_t input, const Shape& shape) : input_(input), shape_(shape) {
    std::ranges::copy(codes.data<uint8_t>(), table_.begin());
  }
  void run(EvalContext& context) const override {
    const std::span<const uint8_t> in = context.input(input_).data<uint8_t>();
    Tensor& out = context.output(0, DType::u8, shape_);
    table_u8(table_, in.data(), out.data<uint8_t>().data(), out.elements(), context.pool, isa_);
  }
  bool in_place(size_t i) const override { return i == input_; }
  size_t constant_bytes() const override { return sizeof(table_); }
  std::string describe() const override { return "table u8 " + std::string(name_of(isa_)); }

 private:
  std::array<uint8_t, 256> table_{};
  size_t input_;
  Shape shape_;
  Isa isa_ = best_isa();
};

// The result is not quantized: codes in, reals out.
class RealTable : public Kernel {
 public:
  RealTable(const Tensor& reals, size_t input, const Shape& shape) : input_(input), shape_(shape) {
    std::ranges::copy(reals.data<float>(), table_.begin());
  }
  void run(EvalContext& context) const override {
    const std::span<const uint8_t> in = context.input(input_).data<uint8_t>();
    const std::span<float> out = context.output(0, DType::f32, shape_).data<float>();
    context.pool.parallel_ranges(
        static_cast<int64_t>(in.size()), 4096, [&](int64_t begin, int64_t end) {
          for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
            out[i] = table_[in[i]];
          }
        });
  }
  size_t constant_bytes() const override { return sizeof(table_); }
  std::string describe() const override { return "table u8 to f32"; }

 private:
  std::array<float, 256> table_{};
  size_t input_;
  Shape shape_;
};

// The one input that is not constant; nullopt if there is none or another, or if a constant has
// more than one element (which element belongs to a code would depend on its place).
std::optional<size_t> only_variable(const NodeTypes& types) {
  std::optional<size_t> found;
  for (size_t i = 0; i < types.input_count(); ++i) {
    if (!types.has(i)) continue;
    if (types.constant(i) != nullptr) {
      if (types.shape(i).elements() != 1) return std::nullopt;
    } else if (found) {
      return std::nullopt;
    } else {
      found = i;
    }
  }
  return found;
}

// f32[256]: the operator at every code.
Tensor evaluate_every_code(const KernelSpec& spec, size_t variable, const OpRow& row) {
  const NodeTypes& types = spec.types;
  std::vector<uint8_t> every(256);
  std::iota(every.begin(), every.end(), uint8_t{0});
  std::vector<Tensor> inputs(types.input_count());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* constant = types.constant(i);
    if (i == variable) {
      inputs[i] = dequantize_tensor(Tensor::of<uint8_t>({256}, every), *spec.grid(i));
    } else if (constant != nullptr) {
      inputs[i] = constant->reshaped({});
    }
  }
  std::vector<Tensor> outputs(types.node.outputs.size());
  ThreadPool pool(1);
  EvalContext context(types.node, types.opset, inputs, outputs, pool);
  row.eval.function(context);
  return outputs[0];
}

}  // namespace

std::unique_ptr<Kernel> integer_table(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const std::optional<size_t> variable = only_variable(types);
  if (!variable) return spec.refuse("it is not a function of one input");
  if (types.shape(*variable).elements() != spec.outputs[0].shape.elements()) {
    return spec.refuse("it changes the number of elements");
  }
  const OpRow& row = require_op(types.node, types.opset);
  if (!row.eval) return spec.refuse(row.eval.reason);
  const Tensor reals = evaluate_every_code(spec, *variable, row);
  if (reals.dtype() != DType::f32 || reals.elements() != 256) {
    return spec.refuse("its result is not one real number for each");
  }
  if (spec.output_grid() == nullptr) {
    return std::make_unique<RealTable>(reals, *variable, spec.outputs[0].shape);
  }
  if (std::ranges::any_of(reals.data<float>(), [](float value) { return std::isnan(value); })) {
    return spec.refuse("it is not defined everywhere");
  }
  return std::make_unique<CodeTable>(quantize_tensor(reals, *spec.output_grid()), *variable,
                                     spec.outputs[0].shape);
}

}  // namespace nibble
